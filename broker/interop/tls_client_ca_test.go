package interop

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"testing"
	"time"
)

// known are the users of these tests, with the topics of sensors.
const known = `access:
  users:
    anna: {roles: [sensor]}
    bert.home.arpa: {roles: [sensor]}
    carla@home.arpa: {roles: [sensor]}
`

func named(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}}
}

// startAsking starts a broker that asks for certificates of an authority.
func startAsking(t testing.TB, a authority) (*server, *tls.Config) {
	t.Helper()
	cert, key := certificate(t)
	s := startTLS(t, "\n      cert: "+cert+"\n      key: "+key+"\n      client_ca: "+a.file, known)
	return s, &tls.Config{RootCAs: roots(t, cert), ServerName: "127.0.0.1"}
}

// TestCertificateNames has clients be who their certificates say, whatever they say
// themselves.
func TestCertificateNames(t *testing.T) {
	t.Parallel()
	home := newAuthority(t, "home")
	s, trust := startAsking(t, home)
	between := home.sign(t, newKey(t), x509.Certificate{
		Subject: pkix.Name{CommonName: "workshop"}, KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	})
	workshop := authority{Certificate: between}
	behind := workshop.client(t, named("anna"))
	behind.Certificate = append(behind.Certificate, between.Certificate[0])
	both := named("anna")
	both.DNSNames = []string{"bert.home.arpa"}
	for _, tt := range []struct {
		name  string
		shown tls.Certificate
		user  string // empty: refused
	}{
		{"common name", home.client(t, named("anna")), "anna"},
		{"alternative name", home.client(t, x509.Certificate{DNSNames: []string{"bert.home.arpa", "anna"}}), "bert.home.arpa"},
		{"address of mail", home.client(t, x509.Certificate{EmailAddresses: []string{"carla@home.arpa"}}), "carla@home.arpa"},
		{"common and alternative name", home.client(t, both), "anna"},
		{"by an authority between", behind, "anna"},
		{"by an authority between that is not shown", workshop.client(t, named("anna")), ""},
		{"nobody's", home.client(t, named("dora")), ""},
		{"expired", home.client(t, x509.Certificate{
			Subject: pkix.Name{CommonName: "anna"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		}), ""},
	} {
		cfg := trust.Clone()
		cfg.Certificates = []tls.Certificate{tt.shown}
		c, err := speak(t, s.tls, cfg, login{version: v5, id: tt.name}.as("carla@home.arpa", "a password"))
		if (err == nil) != (tt.user != "") {
			t.Errorf("%s: %v, want to be %q", tt.name, err, tt.user)
		}
		if err != nil {
			continue
		}
		for _, user := range []string{"anna", "bert.home.arpa", "carla@home.arpa"} {
			code := c.publish(message{topic: "sensors/" + user + "/state", qos: 1, payload: "on"})
			if may := code < 0x80; may != (user == tt.user) {
				t.Errorf("%s: publishing as %s: %#x, want to be %s", tt.name, user, code, tt.user)
			}
		}
		c.disconnect()
	}
}

// TestClientAuthorityFile replaces the authority of clients: those of the old one
// are refused, also if they have a ticket, and who is there stays.
func TestClientAuthorityFile(t *testing.T) {
	t.Parallel()
	home, other := newAuthority(t, "home"), newAuthority(t, "other")
	s, trust := startAsking(t, home)
	visit := func(a authority, cache tls.ClientSessionCache) (*client, error) {
		cfg := trust.Clone()
		cfg.ClientSessionCache, cfg.Certificates = cache, []tls.Certificate{a.client(t, named("anna"))}
		return speak(t, s.tls, cfg, login{version: v5, id: "c"}.packet())
	}
	cache := tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		c, err := visit(home, cache)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.state().DidResume; got != resumed {
			t.Fatalf("resumed: %t, want %t", got, resumed)
		}
		c.disconnect()
	}
	stays, err := visit(home, tls.NewLRUClientSessionCache(1))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := visit(other, nil); err == nil {
		c.drop()
		t.Error("a client of another authority was let in")
	}

	text, err := os.ReadFile(other.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(home.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := s.reload(t); err != nil {
		t.Fatalf("edge reload: %v: %s", err, said)
	}
	stays.ping()
	for name, cache := range map[string]tls.ClientSessionCache{"with a ticket": cache, "without": nil} {
		if c, err := visit(home, cache); err == nil {
			c.drop()
			t.Errorf("a client of the old authority was let in, %s", name)
		}
	}
	c, err := visit(other, nil)
	if err != nil {
		t.Fatalf("a client of the new authority: %v", err)
	}
	c.ping()
}
