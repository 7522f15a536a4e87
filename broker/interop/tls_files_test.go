package interop

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reload runs `edge reload` and returns what it says.
func (s *server) reload(t testing.TB) (said string, err error) {
	t.Helper()
	cmd := exec.Command(s.cmd.Path, "reload", "--data", filepath.Join(s.dir, "data"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// shown returns the certificate that is shown at an address.
func shown(t testing.TB, address string) *x509.Certificate {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// replace puts a new certificate in place of one in files.
func replace(t testing.TB, cert, key string) *x509.Certificate {
	t.Helper()
	newCert, newKey := certificate(t)
	pair, err := tls.LoadX509KeyPair(newCert, newKey)
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, pair, cert, key)
	return pair.Leaf
}

// TestCertificateFiles replaces the certificate of the user's own: `edge reload` and
// SIGHUP take the new one, one that is damaged changes nothing, and nobody loses a
// connection.
func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	h := open(t)
	stays, err := speak(t, h.tls, &tls.Config{RootCAs: roots(t, h.cert)}, login{version: v5, id: "stays"}.packet())
	if err != nil {
		t.Fatal(err)
	}
	stays.subscribe("certificates", 1)
	listeners := []string{h.tls, h.wss}

	second := replace(t, h.cert, h.key)
	if said, err := h.reload(t); err != nil {
		t.Fatalf("edge reload: %v: %s", err, said)
	}
	for _, address := range listeners {
		if c := shown(t, address); !c.Equal(second) {
			t.Errorf("after edge reload, %s shows another certificate than that in the file", address)
		}
	}

	third := replace(t, h.cert, h.key)
	if err := h.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for _, address := range listeners {
		for !shown(t, address).Equal(third) {
			if time.Now().After(deadline) {
				t.Fatalf("%v after SIGHUP, %s shows another certificate than that in the file", patience, address)
			}
		}
	}

	if err := os.WriteFile(h.key, []byte("dust"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := h.reload(t); err == nil || !strings.Contains(said, "certificate of the listener") {
		t.Errorf("edge reload with a damaged key: %v: %s; want an error that names the listener", err, said)
	}
	if !shown(t, h.tls).Equal(third) {
		t.Error("a damaged file has changed the certificate")
	}

	h.connect(t, login{id: "new"}).publish(message{topic: "certificates", qos: 1, payload: "still there"})
	if m := stays.receive(); m.payload != "still there" {
		t.Errorf("the broker sent %q to a client that was there all the time", m.payload)
	}
}

// TestResumption has a client come back with what it was given: it saves a
// handshake, but after a restart of the broker, which has forgotten the keys of its
// tickets on purpose. Then a ticket is worth nothing, and does no harm.
func TestResumption(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := startWith(t, listenTLS(t))
			trust := &tls.Config{RootCAs: roots(t, s.cert), MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			visit := func(what string, resumed bool) {
				t.Helper()
				c, err := speak(t, s.tls, trust, login{version: v5, id: "visitor"}.packet())
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if got := c.state(); got.DidResume != resumed || got.Version != version {
					t.Errorf("%s: resumed %t, %s; want %t", what, got.DidResume, tls.VersionName(got.Version), resumed)
				}
				c.ping()
			}
			visit("at first", false)
			visit("with a ticket", true)
			visit("with the next", true)
			s.stop(t)
			s = s.again(t)
			visit("after a restart", false)
			visit("with a new ticket", true)
		})
	}
}
