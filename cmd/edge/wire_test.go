package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/broker"
)

// startBroker runs a broker that lets everybody in.
func startBroker(t *testing.T, listeners ...broker.Listener) *broker.Broker {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.AllowAnonymous, cfg.Listeners = true, listeners
	b, err := broker.Open(cfg, "edge", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopBroker(t, b) })
	return b
}

func stopBroker(t *testing.T, b *broker.Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// edge runs a command line to its end.
func edge(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var err bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), io.Discard, &err)
	return code, err.String()
}

func TestSubComesBackAfterTheBroker(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "m.sock")
	listener := broker.Listener{URL: "unix://" + sock}
	first := startBroker(t, listener)
	out, log := new(syncBuffer), new(syncBuffer)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"sub", "--unix", sock, "-d", "a"}, nil, out, log) }()
	wait := func(b *syncBuffer, text string) {
		t.Helper()
		within, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if waitUntil(within, func() bool { return strings.Contains(b.String(), text) }) != nil {
			t.Fatalf("no %q in %q; stderr: %s", text, b, log)
		}
	}
	wait(log, "subscribed to a")
	stopBroker(t, first)
	wait(log, "trying again in")
	startBroker(t, listener)
	if code, msg := edge(t, "pub", "--unix", sock, "-r", "a", "again"); code != exitDone {
		t.Fatalf("pub exits with %d: %s", code, msg)
	}
	wait(out, "again\n")
	cancel()
	if code := <-done; code != exitDone {
		t.Errorf("sub exits with %d: %s", code, log)
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	b := startBroker(t, broker.Listener{URL: "tls://127.0.0.1:0", Cert: cert, Key: key})
	url := b.URLs()[0]
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"trusted", []string{"--cafile", cert}, exitDone, ""},
		{"trusted folder", []string{"--capath", dir}, exitDone, ""},
		{"unchecked", []string{"--insecure"}, exitDone, ""},
		{"not trusted", nil, exitUnreachable, "--cafile"},
		{"no authority in the file", []string{"--cafile", key}, exitFailed, "no PEM certificate"},
		{"no such certificate", []string{"--insecure", "--cert", "none", "--key", "none"}, exitFailed, "client certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stderr := edge(t, append([]string{"pub", "-L", url, "-q", "1", "a", "x"}, tt.args...)...)
			if code != tt.code || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d: %s\nwant %d and %q", code, stderr, tt.code, tt.want)
			}
		})
	}
	// One side only speaks TLS.
	plain := strings.Replace(url, "tls:", "tcp:", 1)
	if code, stderr := edge(t, "pub", "--timeout", "5s", "-L", plain, "a", "x"); code != exitUnreachable {
		t.Errorf("without TLS: exit code %d: %s", code, stderr)
	}
}

// selfSigned writes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "edge test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
}

func TestSilentPeerIsUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // takes connections and says nothing
		var taken []net.Conn // One that nobody has is closed by the collector.
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			taken = append(taken, c)
			_ = taken
		}
	}()
	code, stderr := edge(t, "sub", "--timeout", "100ms", "-L", "tcp://"+l.Addr().String(), "a")
	if code != exitUnreachable || !strings.Contains(stderr, "no answer within 100ms") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestPasswordSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from file\r\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, env string
		remote    remote
		want      string
	}{
		{"none", "", remote{user: "u"}, ""},
		{"flag", "from env", remote{password: "p", passFile: file}, "p"},
		{"file", "from env", remote{passFile: file}, "from file"},
		{"env", "from env", remote{}, "from env"},
	}
	for _, tt := range tests {
		t.Setenv("EDGE_PASSWORD", tt.env)
		a := &app{in: strings.NewReader("typed\n"), err: io.Discard}
		if err := a.findPassword(&tt.remote, true); err != nil || tt.remote.password != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, tt.remote.password, err, tt.want)
		}
	}
}

func TestNodeIsAlive(t *testing.T) {
	b := startBroker(t, broker.Listener{URL: "tcp://127.0.0.1:0"})
	n := &node{plan: &plan{settings: settings{Prefix: "edge", Node: "n"}}, client: b.Client("edge")}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if err := n.alive(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
