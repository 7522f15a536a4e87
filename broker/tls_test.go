package broker

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/broker/access"
	"edge/internal/pki"
)

// secure starts a broker with one TLS listener and returns its address, and the
// settings of a client that trusts it.
func secure(t *testing.T, l Listener) (b *Broker, address string, trust *tls.Config) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Access.Users = map[string]access.User{"sensor-1": {Roles: []string{"sensor"}}}
	cfg.AllowAnonymous, cfg.TLSDir = true, filepath.Join(t.TempDir(), "tls")
	l.URL = "tls://127.0.0.1:0"
	cfg.Listeners = []Listener{l}
	b = startWith(t, cfg)
	u, err := url.Parse(b.URLs()[0])
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(cfg.TLSDir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trust = &tls.Config{RootCAs: x509.NewCertPool(), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	trust.RootCAs.AppendCertsFromPEM(ca)
	return b, u.Host, trust
}

// visit connects, says hello, and returns what the connection was.
func visit(t *testing.T, address string, cfg *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	c, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	if _, err := c.Write([]byte(hello)); err != nil {
		return tls.ConnectionState{}, err
	}
	// In TLS 1.3 a client learns only now that it is not welcome.
	if _, err := c.Read(make([]byte, len(welcome))); err != nil {
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), nil
}

func TestOwnCertificate(t *testing.T) {
	b, address, trust := secure(t, Listener{})
	for _, resumed := range []bool{false, true} {
		if s, err := visit(t, address, trust); err != nil || s.DidResume != resumed || s.Version != tls.VersionTLS13 {
			t.Errorf("resumed %t, version %#x, %v; want %t and TLS 1.3", s.DidResume, s.Version, err, resumed)
		}
	}
	old := b.listeners[0].certs.Load().own
	b.renewNow()
	if b.listeners[0].certs.Load().own != old {
		t.Error("a new certificate was put in place of a good one")
	}
	if err := os.Remove(filepath.Join(b.cfg.TLSDir, "server.pem")); err != nil {
		t.Fatal(err)
	}
	b.renewNow()
	if b.listeners[0].certs.Load().own == old {
		t.Error("the certificate was not renewed")
	}
	if _, err := visit(t, address, trust); err != nil {
		t.Errorf("after renewal: %v", err)
	}
}

// TestOldTLS refuses what is not safe any more.
func TestOldTLS(t *testing.T) {
	_, address, trust := secure(t, Listener{})
	for _, tt := range []struct {
		name    string
		version uint16
		ciphers []uint16
		ok      bool
	}{
		{"TLS 1.1", tls.VersionTLS11, nil, false},
		{"TLS 1.2 with CBC", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, false},
		{"TLS 1.2 with GCM", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, true},
		{"TLS 1.2 with ChaCha20", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}, true},
	} {
		cfg := trust.Clone()
		cfg.MinVersion, cfg.MaxVersion, cfg.CipherSuites = tt.version, tt.version, tt.ciphers
		if _, err := visit(t, address, cfg); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %t", tt.name, err, tt.ok)
		}
	}
}

// TestClientCertificate lets in who shows a certificate of the right authority.
func TestClientCertificate(t *testing.T) {
	dir := t.TempDir()
	clients := pki.Open(dir, time.Now)
	good, err := clients.Client("sensor-1")
	if err != nil {
		t.Fatal(err)
	}
	other, err := pki.Open(t.TempDir(), time.Now).Client("sensor-1")
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := clients.Client("")
	if err != nil {
		t.Fatal(err)
	}
	root, err := clients.Client("uid:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, err := clients.Certificate([]string{"sensor-1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, address, trust := secure(t, Listener{ClientCA: clients.AuthorityFile()})
	for _, tt := range []struct {
		name  string
		shown []tls.Certificate
		ok    bool
	}{
		{"none", nil, false},
		{"of the authority", []tls.Certificate{*good}, true},
		{"again, resumed", []tls.Certificate{*good}, true},
		{"of another authority", []tls.Certificate{*other}, false},
		{"without a name", []tls.Certificate{*nobody}, false},
		{"of a server", []tls.Certificate{*serving}, false},
		{"with a name of ours", []tls.Certificate{*root}, false},
	} {
		cfg := trust
		if !strings.HasPrefix(tt.name, "again") {
			cfg = trust.Clone()
			cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			trust = cfg
		}
		cfg.Certificates = tt.shown
		if _, err := visit(t, address, cfg); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %t", tt.name, err, tt.ok)
		}
	}
	c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: trust.RootCAs, Certificates: []tls.Certificate{*good}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	talk(t, c, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01d", welcome)
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.conns {
		if s.peer == "sensor-1" {
			return
		}
	}
	t.Error("nobody is sensor-1")
}
