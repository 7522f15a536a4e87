package peer

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/broker/login"
)

// TestCertify has a client accept the certificate of a broker, as its only one.
func TestCertify(t *testing.T) {
	dirs := [2]string{t.TempDir(), t.TempDir()}
	trust, err := certify(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certify(dirs[1]); err != nil {
		t.Fatal(err)
	}
	for i, dir := range dirs {
		own, err := tls.LoadX509KeyPair(filepath.Join(dir, cert), filepath.Join(dir, key))
		if err != nil {
			t.Fatal(err)
		}
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{own}})
		if err != nil {
			t.Fatal(err)
		}
		go serveOnce(l)
		c, err := tls.Dial("tcp", l.Addr().String(), trust)
		switch {
		case err == nil && i == 0:
			if v := c.ConnectionState().Version; v != tls.VersionTLS13 {
				t.Errorf("the version is %#x, want TLS 1.3", v)
			}
			_ = c.Close()
		case err == nil || i == 0:
			t.Errorf("broker %d: %v; the first is to be trusted and no other", i, err)
		}
		_ = l.Close()
	}
}

// serveOnce reads from one client until that leaves.
func serveOnce(l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

func TestSecureCommands(t *testing.T) {
	us := Users{Count: 2, Password: "a secret of theirs"}
	for _, tt := range []struct {
		peer Peer
		want []string // of its arguments
		file string
		has  []string
	}{
		{
			Peer{Name: "edge", command: edgeCommand},
			[]string{"env", "RUNTIME_DIRECTORY=HERE/run", "tls://127.0.0.1:1883", "--cert", "HERE/certificate/server.pem"},
			"data/users",
			[]string{"user0:on:viewer:$sha256-random$", "user1:on:"},
		},
		{
			Peer{Name: "mosquitto", command: mosquittoCommand},
			[]string{"-c", "HERE/mosquitto.conf"},
			"mosquitto.conf",
			[]string{"listener 1883", "\ncertfile HERE/certificate/server.pem\n", "\npassword_file HERE/passwords\n"},
		},
	} {
		dir := t.TempDir()
		here := strings.NewReplacer("HERE", dir)
		argv, err := tt.peer.With(us).Secure().command("broker", "127.0.0.1:1883", dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if !slices.Contains(argv, here.Replace(want)) {
				t.Errorf("%s is started by %q, without %s", tt.peer.Name, argv, want)
			}
		}
		text, err := os.ReadFile(filepath.Join(dir, tt.file))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.has {
			if !strings.Contains(string(text), here.Replace(want)) {
				t.Errorf("%s of %s is without %q:\n%s", tt.file, tt.peer.Name, want, text)
			}
		}
	}
}

// TestUsers has edge's own reader look at what is written, for edge and for
// mosquitto.
func TestUsers(t *testing.T) {
	for _, chosen := range []bool{false, true} {
		us := Users{Count: 3, Password: "a secret of theirs", Chosen: chosen}
		dir := t.TempDir()
		if err := us.forEdge(dir); err != nil {
			t.Fatal(err)
		}
		users, err := login.Load(filepath.Join(dir, "data", "users"))
		checkUsers(t, us, users, err)
		if len(users) > 0 && users[0].Hash.Generated() == chosen {
			t.Errorf("chosen is %t, and the hash is %s", chosen, users[0].Hash)
		}
	}
	us, dir := Users{Count: 3, Password: "a secret of theirs"}, t.TempDir()
	if _, err := mosquittoCommand("mosquitto", "127.0.0.1:1883", dir); err != nil {
		t.Fatal(err)
	}
	if err := us.forMosquitto(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "passwords"))
	if err != nil {
		t.Fatal(err)
	}
	users, err := login.ParseMosquitto("passwords", text, []string{"viewer"}, time.Now())
	checkUsers(t, us, users, err)
}

func checkUsers(t *testing.T, us Users, users login.Users, err error) {
	t.Helper()
	if len(users) != us.Count || err != nil {
		t.Fatalf("%d users, %v, want %d", len(users), err, us.Count)
	}
	v := login.NewVerifier(users, login.NewMemory())
	for i := range us.Count {
		if _, err := v.Check(t.Context(), login.Attempt{User: us.Name(i), Password: login.NewSecret(us.Password)}); err != nil {
			t.Errorf("%s: %v", us.Name(i), err)
		}
	}
}

func TestRuled(t *testing.T) {
	dir := t.TempDir()
	if _, err := (Peer{}).Ruled(100).command("edge", "127.0.0.1:1883", dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "edge.yaml"))
	if n := strings.Count(string(text), "topics: "); n != 100 || err != nil {
		t.Errorf("%d rules, %v, want 100", n, err)
	}
	if !strings.HasSuffix(string(text), "- allow: [publish, read]\n        topics: [\"bench/#\"]\n") {
		t.Errorf("the last rule does not allow the load:\n%s", text)
	}
}
