package broker

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"edge/internal/pki"
)

// certs are what a listener shows and what it wants to be shown.
type certs struct {
	own     *tls.Certificate
	clients *x509.CertPool // nil: clients need no certificate
}

// readTLS reads the files of the listener. If there is no certificate among them,
// it is one of the hub's own authority.
func (l *listener) readTLS() (*certs, error) {
	c := new(certs)
	var err error
	if c.own, err = l.ownCert(); err != nil || l.cfg.ClientCA == "" {
		return c, err
	}
	ca, err := os.ReadFile(l.cfg.ClientCA)
	if err != nil {
		return nil, err
	}
	if c.clients = x509.NewCertPool(); !c.clients.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", l.cfg.ClientCA)
	}
	return c, nil
}

func (l *listener) ownCert() (*tls.Certificate, error) {
	if l.cfg.Cert != "" {
		cert, err := tls.LoadX509KeyPair(l.cfg.Cert, l.cfg.Key)
		return &cert, err
	}
	if l.b.cfg.TLSDir == "" {
		return nil, errors.New("there is none, and no directory to make one in")
	}
	names, addresses := pki.Here()
	return pki.Open(l.b.cfg.TLSDir, time.Now).Certificate(names, addresses)
}

// tlsConfig allows TLS 1.3, and 1.2 with ciphers that authenticate what they
// encrypt and keys that are not used twice. A listener has one, so that a client
// can resume its session. The keys of its tickets are new each day and not kept:
// with them, what was recorded of resumed sessions of TLS 1.2 could be read, and
// after a restart a whole handshake of each client costs little.
func (l *listener) tlsConfig() *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.certs.Load().own, nil },
	}
	if l.cfg.ClientCA == "" {
		return base
	}
	// The authorities may be read anew, so they are looked at after the handshake
	// has checked that the client has the key.
	base.ClientAuth = tls.RequireAnyClientCert
	base.VerifyConnection = func(s tls.ConnectionState) error { return l.certs.Load().verify(s) }
	return base
}

// verify reports what is wrong with the certificate of a client. It is asked when
// a session is resumed, too.
func (c *certs) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the client has shown no certificate")
	}
	between := x509.NewCertPool()
	for _, cert := range s.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: c.clients, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil && !plausible(nameIn(s.PeerCertificates[0])) {
		err = fmt.Errorf("no user can have the name %q, which is in the certificate of the client", nameIn(s.PeerCertificates[0]))
	}
	return err
}

// peerOf returns the name in the certificate of a client, which was verified;
// empty if it has shown none.
func peerOf(s tls.ConnectionState) string {
	if len(s.PeerCertificates) == 0 {
		return ""
	}
	return nameIn(s.PeerCertificates[0])
}

// nameIn returns the common name in c, or else the first alternative name.
func nameIn(c *x509.Certificate) string {
	if c.Subject.CommonName != "" {
		return c.Subject.CommonName
	}
	for _, names := range [][]string{c.DNSNames, c.EmailAddresses} {
		if len(names) > 0 {
			return names[0]
		}
	}
	return ""
}

// renewEvery is how often the hub looks whether a certificate of its own expires,
// or lacks a new address of the machine.
const renewEvery = time.Hour

// renew replaces certificates of the hub until the broker is closed.
func (b *Broker) renew() {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-b.done:
			return
		case <-ticker.C:
			b.renewNow()
		}
	}
}

func (b *Broker) renewNow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.listeners {
		if l.tls == nil || l.cfg.Cert != "" {
			continue
		}
		old := l.certs.Load()
		cert, err := l.ownCert()
		switch {
		case err != nil:
			b.log.Error("renew the certificate of a listener", "listener", l.id, "err", err)
		case !bytes.Equal(cert.Leaf.Raw, old.own.Leaf.Raw):
			l.certs.Store(&certs{cert, old.clients})
			b.log.Info("the certificate of a listener was renewed", "listener", l.id, "until", cert.Leaf.NotAfter)
		}
	}
}
