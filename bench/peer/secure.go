package peer

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edge/broker/login"
	"edge/internal/pki"
)

// The certificate of a broker, in a directory of its own below that of the broker.
const (
	certDir = "certificate"
	cert    = certDir + "/server.pem"
	key     = certDir + "/server.key"
)

// Secure returns p with TLS at its only address; a client trusts it by the TLS of
// its process.
func (p Peer) Secure() Peer {
	p.secure = true
	plain := p.command
	p.command = func(path, addr, dir string) ([]string, error) {
		argv, err := plain(path, addr, dir)
		if err != nil {
			return nil, err
		}
		if p.Name == "edge" {
			for i, arg := range argv {
				argv[i] = strings.Replace(arg, "tcp://", "tls://", 1)
			}
			return append(argv, "--cert", filepath.Join(dir, cert), "--key", filepath.Join(dir, key)), nil
		}
		return argv, addLines(dir, "certfile "+filepath.Join(dir, cert), "keyfile "+filepath.Join(dir, key), "tls_version tlsv1.3", "ciphers_tls1.3 TLS_AES_128_GCM_SHA256")
	}
	return p
}

// certify makes a certificate for the loopback interface and returns the settings
// of a client that trusts it, and accepts nothing older than TLS 1.3.
func certify(dir string) (*tls.Config, error) {
	store := pki.Open(filepath.Join(dir, certDir), time.Now)
	if _, err := store.Certificate([]string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(store.AuthorityFile())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the certificate just made is no PEM file")
	}
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}, nil
}

// addLines puts lines at the end of mosquitto's configuration, where they belong to
// its only listener.
func addLines(dir string, lines ...string) error {
	f, err := os.OpenFile(filepath.Join(dir, "mosquitto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	return err
}

// Users are those who may come in: user0, user1 and so on, all with one password.
type Users struct {
	Count    int
	Password string
	Chosen   bool // by a person: it is hashed slowly where that is the custom
}

// Name returns the name of the user i.
func (Users) Name(i int) string { return fmt.Sprint("user", i) }

// With returns p with users, and with a directory in memory, where it may remember
// something until the machine is restarted.
func (p Peer) With(us Users) Peer {
	plain := p.command
	p.command = func(path, addr, dir string) ([]string, error) {
		argv, err := plain(path, addr, dir)
		if err != nil {
			return nil, err
		}
		if p.Name == "edge" {
			return append([]string{"env", "RUNTIME_DIRECTORY=" + filepath.Join(dir, "run")}, argv...), us.forEdge(dir)
		}
		return argv, us.forMosquitto(dir)
	}
	return p
}

// forEdge writes the users file. The hash is one for all, since making a slow one
// takes its time.
func (us Users) forEdge(dir string) error {
	hash := login.HashGenerated(login.NewSecret(us.Password))
	if us.Chosen {
		hash = login.HashPassword(login.NewSecret(us.Password), login.DefaultCost())
	}
	var all login.Users
	for i := range us.Count {
		all = all.With(login.User{Name: us.Name(i), Hash: hash, Roles: []string{"viewer"}, Created: time.Now()})
	}
	text, err := all.AppendText(nil)
	for _, name := range []string{"run", "data"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	return errors.Join(err, os.WriteFile(filepath.Join(dir, "data", "users"), text, 0o600))
}

// forMosquitto writes a password_file with the rounds of PBKDF2 that
// mosquitto_passwd has by default.
func (us Users) forMosquitto(dir string) error {
	const rounds = 101
	salt := make([]byte, 12)
	rand.Read(salt)
	sum, err := pbkdf2.Key(sha512.New, us.Password, salt, rounds, sha512.Size)
	if err != nil {
		return err
	}
	var text []byte
	b64 := base64.StdEncoding
	for i := range us.Count {
		text = fmt.Appendf(text, "%s:$7$%d$%s$%s\n", us.Name(i), rounds, b64.EncodeToString(salt), b64.EncodeToString(sum))
	}
	file := filepath.Join(dir, "passwords")
	return errors.Join(os.WriteFile(file, text, 0o600), addLines(dir, "password_file "+file))
}

// Ruled returns edge with n rules of access, the last of which is the one that
// allows what clients without a name do below bench.
func (p Peer) Ruled(n int) Peer {
	var b strings.Builder
	b.WriteString("access:\n  anonymous: [load]\n  roles:\n    load:\n")
	for i := range n - 1 {
		verb := "allow"
		if i%10 == 9 {
			verb = "deny"
		}
		fmt.Fprintf(&b, "      - %s: [publish, read]\n        topics: [\"house/%d/+/state\"]\n", verb, i)
	}
	b.WriteString("      - allow: [publish, read]\n        topics: [\"bench/#\"]\n")
	p.command = edgeWith(b.String())
	return p
}
