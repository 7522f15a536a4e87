// Package pki makes the certificates of a hub whose user has none: an authority of
// its own, and with it a certificate for the names and addresses of the machine.
// Clients trust the authority once; the certificate changes under it, and the
// authority itself each 18 years.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edge/internal/wholefile"
)

// How long certificates live. What serves may live 398 days in the eyes of
// browsers; it is made anew when a third of that is left.
const (
	authorityLife = 20 * 365 * 24 * time.Hour
	serverLife    = 397 * 24 * time.Hour
)

// epoch is before the first day of any program with this line. A clock that says
// less was not set.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// A Store is a directory with an authority and the certificate that it has signed:
// ca.pem for everybody, the keys for nobody else.
type Store struct {
	dir string
	now func() time.Time
}

// Open returns the store in dir; now tells the time of day.
func Open(dir string, now func() time.Time) *Store { return &Store{dir, now} }

// The files of a store.
const (
	caCert     = "ca.pem"
	caKey      = "ca.key"
	serverCert = "server.pem"
	serverKey  = "server.key"
)

// AuthorityFile is the path of the certificate that clients trust.
func (s *Store) AuthorityFile() string { return filepath.Join(s.dir, caCert) }

// Certificate returns a certificate for the given names and addresses with its
// chain. It makes what is missing, does not cover them, or is about to expire.
func (s *Store) Certificate(names []string, addresses []net.IP) (*tls.Certificate, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	ca, err := s.authority()
	if err != nil {
		return nil, err
	}
	cert, err := s.load(serverCert, serverKey)
	if err != nil {
		return nil, err
	}
	if cert != nil && s.serves(cert.Leaf, names, addresses) && cert.Leaf.CheckSignatureFrom(ca.Leaf) == nil {
		return cert, nil
	}
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: commonName(names)},
		DNSNames: names, IPAddresses: addresses,
		NotAfter:    s.day().Add(serverLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if s.now().Before(epoch) {
		template.NotAfter = epoch.Add(authorityLife) // It must outlive the day on which the clock is set.
	}
	return s.issue(template, ca, serverCert, serverKey)
}

// Client makes a certificate with which a client shows that it is name. The store
// does not keep it.
func (s *Store) Client(name string) (*tls.Certificate, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	ca, err := s.authority()
	if err != nil {
		return nil, err
	}
	return s.make(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		NotAfter:    s.day().Add(authorityLife / 2),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca)
}

// commonName is for people: clients look at the names and addresses beside it.
func commonName(names []string) string {
	if len(names) == 0 {
		return "edge"
	}
	return names[0]
}

// authority returns the authority. It is made on the first day, and anew from the
// same key before it ends: who trusts the old one trusts what the new one signs,
// and has years to fetch it.
func (s *Store) authority() (*tls.Certificate, error) {
	ca, err := s.load(caCert, caKey)
	if err != nil || ca != nil && s.lasts(ca.Leaf) {
		return ca, err
	}
	template := &x509.Certificate{
		NotAfter:              s.day().Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if ca != nil {
		template.RawSubject = ca.Leaf.RawSubject
		if ca, err = sign(template, ca.PrivateKey.(crypto.Signer), nil, s.day()); err != nil {
			return nil, err
		}
		return ca, s.write(caCert, "CERTIFICATE", ca.Certificate[0])
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<32))
	if err != nil {
		return nil, err
	}
	template.Subject.CommonName = fmt.Sprintf("%s%08x", authorityName, serial)
	return s.issue(template, nil, caCert, caKey)
}

// authorityName begins the name of the authorities that a hub makes.
const authorityName = "edge hub "

// lasts reports whether an authority need not be made anew. One that a hub has not
// made is its owner's business.
func (s *Store) lasts(c *x509.Certificate) bool {
	now := s.now()
	if now.Before(epoch) || !strings.HasPrefix(c.Subject.CommonName, authorityName) {
		return true
	}
	return now.After(c.NotBefore) && now.Before(c.NotAfter.Add(-authorityLife/10))
}

// day is today, as far as it can be told.
func (s *Store) day() time.Time {
	if now := s.now(); now.After(epoch) {
		return now
	}
	return epoch
}

// serves reports whether c need not be replaced.
func (s *Store) serves(c *x509.Certificate, names []string, addresses []net.IP) bool {
	now := s.now()
	life := c.NotAfter.Sub(c.NotBefore)
	switch {
	case now.Before(epoch):
		return true // Whether it has expired nobody can tell.
	case life > serverLife+48*time.Hour || now.After(c.NotAfter.Add(-life/3)) || now.Before(c.NotBefore):
		return false
	}
	for _, name := range names {
		if !slices.Contains(c.DNSNames, name) {
			return false
		}
	}
	for _, ip := range addresses {
		if !slices.ContainsFunc(c.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}

// issue makes a key and a certificate for it, and keeps them.
func (s *Store) issue(template *x509.Certificate, ca *tls.Certificate, certName, keyName string) (*tls.Certificate, error) {
	c, err := s.make(template, ca)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, err
	}
	if err := s.write(keyName, "PRIVATE KEY", private); err != nil {
		return nil, err
	}
	return c, s.write(certName, "CERTIFICATE", c.Certificate[0])
}

// make makes a key and a certificate for it.
func (s *Store) make(template *x509.Certificate, ca *tls.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return sign(template, key, ca, s.day())
}

// sign makes a certificate for key, signed on a day by ca or, if that is nil, by
// key itself.
func sign(template *x509.Certificate, key crypto.Signer, ca *tls.Certificate, day time.Time) (*tls.Certificate, error) {
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	template.NotBefore = day.Add(-24 * time.Hour) // Other clocks may be behind.
	signer, parent := any(key), template
	c := &tls.Certificate{PrivateKey: key}
	if ca != nil {
		signer, parent = ca.PrivateKey, ca.Leaf
		c.Certificate = ca.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	c.Certificate = slices.Concat([][]byte{der}, c.Certificate)
	c.Leaf, err = x509.ParseCertificate(der)
	return c, err
}

// load returns a certificate of the store with its key, nil if there is none. A
// key without its certificate is what a power cut leaves; both are made anew.
func (s *Store) load(certName, keyName string) (*tls.Certificate, error) {
	cert, err1 := os.ReadFile(filepath.Join(s.dir, certName))
	key, err2 := os.ReadFile(filepath.Join(s.dir, keyName))
	if errors.Is(err1, fs.ErrNotExist) || errors.Is(err2, fs.ErrNotExist) {
		return nil, nil
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("read the certificates of the hub: %w", err)
	}
	if certName == serverCert {
		chain, err := os.ReadFile(s.AuthorityFile())
		if err != nil {
			return nil, fmt.Errorf("read the certificates of the hub: %w", err)
		}
		cert = append(cert, chain...)
	}
	c, err := tls.X509KeyPair(cert, key)
	switch {
	case err == nil:
		return &c, nil
	case certName == serverCert:
		return nil, nil // Only ours: it is made anew.
	}
	return nil, fmt.Errorf("the authority of the hub in %s is damaged: %w; restore it from a backup, or remove it and have all clients trust a new one", s.dir, err)
}

// write puts a file into the store, whole or not at all.
func (s *Store) write(name, kind string, der []byte) error {
	err := wholefile.Write(filepath.Join(s.dir, name), func(f *os.File) error {
		return pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	})
	if err != nil {
		return fmt.Errorf("keep the certificates of the hub: %w", err)
	}
	return nil
}

// Fingerprint is the SHA-256 of a certificate as people compare it.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	pairs := make([]string, 0, len(sum))
	for i := 0; i < len(text); i += 2 {
		pairs = append(pairs, text[i:i+2])
	}
	return strings.Join(pairs, ":")
}

// Here returns the names and addresses by which clients on the network may know
// this machine.
func Here() (names []string, addresses []net.IP) {
	names = []string{"localhost"}
	if host, err := os.Hostname(); err == nil && host != "" {
		short, _, _ := strings.Cut(host, ".")
		for _, name := range []string{host, short, short + ".local"} {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return names, nil
	}
	for _, a := range all {
		// Those with a zone mean something else on another machine.
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLinkLocalUnicast() {
			addresses = append(addresses, ip.IP)
		}
	}
	return names, addresses
}
