package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// An authority signs certificates, as somebody does for a house.
type authority struct {
	tls.Certificate
	file string // PEM
}

func newAuthority(t testing.TB, name string) authority {
	t.Helper()
	key := newKey(t)
	c := authority{}.sign(t, key, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	})
	return authority{c, writePEM(t, filepath.Join(t.TempDir(), "ca.pem"), "CERTIFICATE", c.Leaf.Raw)}
}

// sign makes a certificate of template, by itself if there is no authority. Without
// dates it is good today.
func (a authority) sign(t testing.TB, key crypto.Signer, template x509.Certificate) tls.Certificate {
	t.Helper()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	parent, signer := &template, crypto.PrivateKey(key)
	if a.Leaf != nil {
		parent, signer = a.Leaf, a.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// client makes a certificate for a client.
func (a authority) client(t testing.TB, template x509.Certificate) tls.Certificate {
	t.Helper()
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(t, newKey(t), template)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// writeKey puts a certificate and its key into files.
func writeKey(t testing.TB, c tls.Certificate, cert, key string) {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, cert, "CERTIFICATE", c.Leaf.Raw)
	writePEM(t, key, "PRIVATE KEY", pkcs8)
}

// speak logs in over TLS, and returns why it could not.
func speak(t testing.TB, address string, cfg *tls.Config, connect packet) (*client, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, cfg)
	if err != nil {
		return nil, err
	}
	c := over(t, conn)
	c.v = v5
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(connect.bytes()); err != nil {
		return nil, err
	}
	// In TLS 1.3 a client learns only now whether its certificate is good.
	if _, err := c.r.Peek(1); err != nil {
		return nil, err
	}
	if a := c.answer(cCONNACK); a.code != 0 {
		return nil, fmt.Errorf("CONNACK has the reason code %#x", a.code)
	}
	return c, nil
}

// state returns what the handshake of c came to.
func (c *client) state() tls.ConnectionState { return c.conn.(*tls.Conn).ConnectionState() }

// startTLS starts a broker with a TLS listener that has lines of YAML, and with more
// of it behind.
func startTLS(t testing.TB, listener, more string) *server {
	t.Helper()
	stricter(t, "the listeners come from a file of edge's")
	return startWith(t, func(l *listeners) {
		l.tls = freeAddress(t)
		l.config = "broker:\n  allow_anonymous: true\n  listeners:\n    - url: tcp://" + l.tcp + "\n    - url: tls://" + l.tls + listener + "\n" + more
	})
}

// An own is a broker that has made its certificate itself, and a client that has
// fetched its authority.
type own struct {
	*server
	t     testing.TB
	trust *tls.Config
}

func startOwn(t testing.TB) *own {
	o := &own{server: startTLS(t, "", ""), t: t, trust: &tls.Config{ServerName: "localhost"}}
	o.fetch()
	return o
}

// path returns where a file of the store is.
func (o *own) path(name string) string { return filepath.Join(o.dir, "data", "tls", name) }

// fetch has the client trust the authority of now.
func (o *own) fetch() { o.trust.RootCAs = roots(o.t, o.path("ca.pem")) }

// visit returns the certificate that the client is shown and takes.
func (o *own) visit() *x509.Certificate {
	o.t.Helper()
	c, err := speak(o.t, o.tls, o.trust, login{version: v5, id: "visitor"}.packet())
	if err != nil {
		o.t.Fatal(err)
	}
	return c.state().PeerCertificates[0]
}

// restart ends the broker, changes its files, and starts it again.
func (o *own) restart(change func(authority)) {
	o.t.Helper()
	o.stop(o.t)
	pair, err := tls.LoadX509KeyPair(o.path("ca.pem"), o.path("ca.key"))
	if err != nil {
		o.t.Fatal(err)
	}
	change(authority{pair, o.path("ca.pem")})
	o.server = o.again(o.t)
}

// TestOwnCertificate keeps the certificate that a broker has made, until it expires.
func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	o := startOwn(t)
	first := o.visit()
	o.restart(func(authority) {})
	if !o.visit().Equal(first) {
		t.Error("a restart has made another certificate")
	}
	o.restart(func(a authority) {
		expired := x509.Certificate{
			DNSNames: first.DNSNames, IPAddresses: first.IPAddresses, ExtKeyUsage: first.ExtKeyUsage,
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		}
		writeKey(t, a.sign(t, newKey(t), expired), o.path("server.pem"), o.path("server.key"))
	})
	if c := o.visit(); time.Until(c.NotAfter) < 300*24*time.Hour {
		t.Errorf("in place of an expired certificate there is one until %v", c.NotAfter)
	}
}

// TestOwnAuthority makes an authority anew that ends in a year: clients that trust
// the old one go on doing so, and those that come now get the new one.
func TestOwnAuthority(t *testing.T) {
	t.Parallel()
	o := startOwn(t)
	var ending tls.Certificate
	o.restart(func(a authority) {
		ending = authority{}.sign(t, a.PrivateKey.(crypto.Signer), x509.Certificate{
			RawSubject: a.Leaf.RawSubject, KeyUsage: a.Leaf.KeyUsage, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		})
		writeKey(t, ending, o.path("ca.pem"), o.path("ca.key"))
		o.fetch()
	})
	o.visit()
	old := o.trust.RootCAs
	o.fetch()
	o.visit()
	if o.trust.RootCAs.Equal(old) {
		t.Error("an authority that ends in a year was not made anew")
	}
}
