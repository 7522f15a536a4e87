package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var (
	today = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)
	names = []string{"hub", "hub.local"}
	home  = []net.IP{net.IPv4(192, 168, 1, 7)}
)

// A shop is a store whose clock the test sets.
type shop struct {
	*Store
	t   *testing.T
	day time.Time
}

func newShop(t *testing.T) *shop {
	s := &shop{t: t, day: today}
	s.Store = Open(filepath.Join(t.TempDir(), "tls"), func() time.Time { return s.day })
	return s
}

func (s *shop) get(names []string, addresses []net.IP) *tls.Certificate {
	s.t.Helper()
	c, err := s.Certificate(names, addresses)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// verify lets a client that trusts the authority look at c on a day.
func (s *shop) verify(c *tls.Certificate, host string, day time.Time) error {
	s.t.Helper()
	return verify(c, s.roots(), host, day)
}

func verify(c *tls.Certificate, roots *x509.CertPool, host string, day time.Time) error {
	_, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: day})
	return err
}

// roots is what a client trusts that fetches the authority now.
func (s *shop) roots() *x509.CertPool {
	s.t.Helper()
	ca, err := os.ReadFile(s.AuthorityFile())
	if err != nil {
		s.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		s.t.Fatal("the authority is no PEM file")
	}
	return roots
}

func TestCertificate(t *testing.T) {
	s := newShop(t)
	c := s.get(names, home)
	for _, host := range []string{"hub", "hub.local", "192.168.1.7"} {
		if err := s.verify(c, host, today); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
	if err := s.verify(c, "elsewhere", today); err == nil {
		t.Error("it is good for elsewhere")
	}
	if err := s.verify(c, "hub", today.Add(400*24*time.Hour)); err == nil {
		t.Error("it is good for more than 400 days")
	}
	if again := s.get(names[:1], nil); !bytes.Equal(again.Leaf.Raw, c.Leaf.Raw) {
		t.Error("it was made anew though it serves")
	}
	for name, mode := range map[string]os.FileMode{caKey: 0o600, serverKey: 0o600, caCert: 0o600, "": os.ModeDir | 0o700} {
		if st, err := os.Stat(filepath.Join(s.dir, name)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v; want mode %v", name, st.Mode(), err, mode)
		}
	}
}

// TestRenewal makes the certificate anew when it must be, under the same authority.
func TestRenewal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		names []string
		spoil string // a file
		want  bool
	}{
		{"a day later", 24 * time.Hour, names, "", false},
		{"when a third is left", 300 * 24 * time.Hour, names, "", true},
		{"another name", 0, []string{"hub", "garage"}, "", true},
		{"a damaged certificate", 0, names, serverCert, true},
		{"a damaged key", 0, names, serverKey, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			old := s.get(names, home)
			s.day = today.Add(tt.after)
			if tt.spoil != "" {
				if err := os.WriteFile(filepath.Join(s.dir, tt.spoil), []byte("dust"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := s.get(tt.names, home)
			if got := !bytes.Equal(c.Leaf.Raw, old.Leaf.Raw); got != tt.want {
				t.Errorf("made anew: %t, want %t", got, tt.want)
			}
			if err := s.verify(c, tt.names[1], s.day); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(c.Certificate[1], old.Certificate[1]) {
				t.Error("there is another authority")
			}
		})
	}
}

// TestClockNotSet makes a certificate in 1970, which clients take today, and
// replaces it once the day is known.
func TestClockNotSet(t *testing.T) {
	s := newShop(t)
	s.day = time.Unix(60, 0)
	c := s.get(names, home)
	if err := s.verify(c, "hub", today); err != nil {
		t.Error(err)
	}
	if again := s.get(names, home); !bytes.Equal(again.Leaf.Raw, c.Leaf.Raw) {
		t.Error("it was made anew in 1970")
	}
	s.day = today
	if c := s.get(names, home); c.Leaf.NotAfter.After(today.Add(398 * 24 * time.Hour)) {
		t.Errorf("it is valid until %v", c.Leaf.NotAfter)
	}
}

// TestAuthorityRenewal makes the authority anew before it ends, and when a clock
// went wrong on its first day. Who trusts the old one goes on doing so.
func TestAuthorityRenewal(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		name       string
		first, now time.Time
		want       bool
		old        bool // the old authority is good on that day
	}{
		{"after 17 years", today, today.Add(17 * year), false, true},
		{"after 19 years", today, today.Add(19 * year), true, true},
		{"after 30 years without power", today, today.Add(30 * year), true, false},
		{"a first day in the future", today.Add(50 * year), today, true, false},
		{"a clock that is not set now", today, time.Unix(60, 0), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			s.day = tt.first
			old, trusted := s.get(names, home), s.roots()
			s.day = tt.now
			c := s.get(names, home)
			if got := !bytes.Equal(c.Certificate[1], old.Certificate[1]); got != tt.want {
				t.Errorf("made anew: %t, want %t", got, tt.want)
			}
			day := tt.now
			if day.Before(epoch) {
				day, tt.old = today, true
			}
			if err := s.verify(c, "hub", day); err != nil {
				t.Errorf("who fetches the authority now: %v", err)
			}
			if err := verify(c, trusted, "hub", day); (err == nil) != tt.old {
				t.Errorf("who has fetched it before: %v, want good %t", err, tt.old)
			}
			if again := s.get(names, home); !bytes.Equal(again.Certificate[1], c.Certificate[1]) {
				t.Error("it is made anew each time")
			}
		})
	}
}

// TestForeignAuthority leaves an authority alone that its owner has put there.
func TestForeignAuthority(t *testing.T) {
	s := newShop(t)
	c, err := s.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Home CA"}, NotAfter: today.Add(authorityLife), IsCA: true, BasicConstraintsValid: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(s.dir, 0o700), s.write(caKey, "PRIVATE KEY", key), s.write(caCert, "CERTIFICATE", c.Certificate[0])); err != nil {
		t.Fatal(err)
	}
	s.day = today.Add(authorityLife - 24*time.Hour)
	if got := s.get(names, home); !bytes.Equal(got.Certificate[1], c.Certificate[0]) {
		t.Error("it was made anew")
	}
}

// TestDamagedAuthority does not make another one in silence: no client trusts it.
func TestDamagedAuthority(t *testing.T) {
	s := newShop(t)
	s.get(names, home)
	if err := os.WriteFile(s.AuthorityFile(), []byte("dust"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Certificate(names, home); err == nil {
		t.Error("a damaged authority was replaced")
	}
}

func TestHere(t *testing.T) {
	names, addresses := Here()
	if names[0] != "localhost" || len(addresses) == 0 || !addresses[0].IsLoopback() {
		t.Errorf("this machine is %v at %v, want localhost among them", names, addresses)
	}
}
