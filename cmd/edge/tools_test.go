package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/spf13/pflag"

	"edge/internal/uart"
)

func TestFoldProperties(t *testing.T) {
	tests := []struct{ line, want string }{
		{"run --listen x", "run --listen x"},
		{"pub -t a -m b", "pub -t a -m b"},
		{"pub -D publish content-type x -t a", "pub --property=publish␟content-type␟x -t a"},
		{"pub -D publish user-property k v -D connect user-property k v a", "pub --property=publish␟user-property␟k␟v --property=connect␟user-property␟k␟v a"},
		{"pub --property will will-delay-interval 5 a", "pub --property=will␟will-delay-interval␟5 a"},
		{"pub -t -D -m x", "pub -t -D -m x"},
		{"pub -rt -D x", "pub -rt -D x"},
		{"pub --topic=-D -D publish content-type", "pub --topic=-D --property=publish␟content-type"},
		{"pub a -- -D publish", "pub a -- -D publish"},
		{"sub -vC 1 -q1 -D subscribe user-property a b x", "sub -vC 1 -q1 --property=subscribe␟user-property␟a␟b x"},
		{"sub -D", "sub --property="},
	}
	for _, tt := range tests {
		a := &app{in: strings.NewReader(""), out: new(bytes.Buffer), err: new(bytes.Buffer)}
		got := strings.ReplaceAll(strings.Join(foldProperties(a.root(), strings.Fields(tt.line)), " "), separator, "␟")
		if got != tt.want {
			t.Errorf("foldProperties(%q) = %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestPropertiesSet(t *testing.T) {
	tests := []struct{ words, want string }{
		{"publish content-type a", ""},
		{"connect receive-maximum 65535", ""},
		{"connect receive-maximum 65536", "0 to 65535"},
		{"publish payload-format-indicator -1", "0 to 255"},
		{"subscribe subscription-identifier 0", "1 to 268435455"},
		{"subscribe subscription-identifier 268435455", ""},
		{"disconnect reason-string bye", ""},
		{"will will-delay-interval 5", ""},
		{"unsubscribe user-property a b", `command "unsubscribe"`},
		{"publish", "needs a name and a value"},
		{"publish user-property a", "more words"},
	}
	for _, tt := range tests {
		err := new(properties).Set(strings.Join(strings.Fields(tt.words), separator))
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("-D %s: %v, want %q", tt.words, err, tt.want)
		}
	}
}

func TestResolve(t *testing.T) {
	tests := []struct {
		args string
		want string // scheme://user:password@address/topic, or a part of the error
	}{
		{"", "tcp://:@localhost:1883/"},
		{"-h hub -p 1884", "tcp://:@hub:1884/"},
		{"-h ::1", "tcp://:@[::1]:1883/"},
		{"-h hub --cafile ca.pem", "tls://:@hub:8883/"},
		{"-h hub -p 8883", "tls://:@hub:8883/"},
		{"--unix m.sock", "unix://:@m.sock/"},
		{"-L mqtt://u:p%20w@hub/a/b", "tcp://u:p w@hub:1883/a/b"},
		{"-L mqtts://hub", "tls://:@hub:8883/"},
		{"-L tls://hub:1", "tls://:@hub:1/"},
		{"-L unix:///run/m.sock", "unix://:@/run/m.sock/"},
		{"-L ws://hub", "must begin with"},
		{"-L tcp://:1", "has no host"},
		{"-k 65536", "0 to 65535"},
		{"--will-qos 3", "0, 1 or 2"},
	}
	t.Setenv("EDGE_URL", "")
	t.Setenv("EDGE_USERNAME", "")
	for _, tt := range tests {
		var r remote
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		r.flags(fs)
		if err := fs.Parse(strings.Fields(tt.args)); err != nil {
			t.Fatal(err)
		}
		err := r.resolve()
		got := fmt.Sprintf("%s://%s:%s@%s/%s", r.scheme, r.user, r.password, r.address, r.topicInURL)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("resolve %q = %q, want %q", tt.args, got, tt.want)
		}
	}
}

func TestRefusedHasItsExitCode(t *testing.T) {
	tests := []struct {
		code byte
		want int
	}{
		{0x80, exitFailed},
		{0x86, exitRefused},
		{0x87, exitRefused},
		{0x88, exitUnreachable},
		{0x8A, exitRefused},
		{0x97, exitFailed},
		{0xFF, exitFailed},
	}
	for _, tt := range tests {
		err := fmt.Errorf("around: %w", refused("x", tt.code, "because"))
		if got := exitCode(t.Context(), err); got != tt.want {
			t.Errorf("exit code of reason 0x%02X is %d, want %d", tt.code, got, tt.want)
		}
	}
}

func TestPrintableKeepsTheTerminal(t *testing.T) {
	const in, want = "a\x1b[2J\tb\x07\x7f\u009b\n", "a␛[2J\tb␇␡\uFFFD\n"
	if got := printable(in); got != want {
		t.Errorf("printable(%q) = %q, want %q", in, got, want)
	}
}

func TestFormatHasWhatHelpSays(t *testing.T) {
	m := &paho.Publish{Topic: "t", Payload: []byte("p"), Properties: &paho.PublishProperties{}}
	for word := range strings.FieldsSeq(formatHelp) {
		if len(word) != 2 || (word[0] != '%' && word[0] != '\\') {
			continue
		}
		parts, err := parseFormat(word, false)
		if err != nil {
			t.Errorf("help has %s: %v", word, err)
			continue
		}
		render(parts, m, time.Now())
	}
}

func FuzzParseFormat(f *testing.F) {
	for _, s := range []string{"%t %p\\n", "%", "\\", "%%%j", "%J", "ä%x"} {
		f.Add(s)
	}
	m := &paho.Publish{Properties: &paho.PublishProperties{}}
	f.Fuzz(func(_ *testing.T, s string) {
		if parts, err := parseFormat(s, false); err == nil {
			render(parts, m, time.Time{})
		}
	})
}

func TestLineHandler(t *testing.T) {
	plain := func(_ color, s string) string { return s }
	tests := []struct {
		name    string
		journal bool
		log     func(*slog.Logger)
		want    string
	}{
		{"journal", true, func(l *slog.Logger) { l.Warn("it healed", "n", 1) }, "<4>it healed n=1\n"},
		{"journal error", true, func(l *slog.Logger) { l.Error("act", "err", errors.New("two\nlines")) }, "<3>act err=\"two\\nlines\"\n"},
		{"journal info", true, func(l *slog.Logger) { l.Info("x") }, "<6>x\n"},
		{"journal debug", true, func(l *slog.Logger) { l.Debug("x") }, "<7>x\n"},
		{
			"attributes", true, func(l *slog.Logger) {
				l.With("a", 1).WithGroup("g").With("b", "").Info("x", "c", slog.GroupValue(slog.Int("d", 2)))
			},
			"<6>x a=1 g.b=\"\" g.c.d=2\n",
		},
		{"terminal", false, func(l *slog.Logger) { l.Info("x", "k", "v w") }, " info  x k=\"v w\"\n"},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		h := &lineHandler{w: &b, mu: new(sync.Mutex), level: slog.LevelDebug, journal: tt.journal, paint: plain}
		tt.log(slog.New(h))
		got := b.String()
		if !tt.journal {
			got = strings.TrimLeft(got, "0123456789:")
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLoggerKnowsItsReader(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := &app{err: f, color: "auto"}
	t.Setenv("JOURNAL_STREAM", "")
	a.newLogger(slog.LevelInfo).Info("x")
	t.Setenv("JOURNAL_STREAM", streamOf(t, f))
	a.newLogger(slog.LevelInfo).Info("y")
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(string(b), "\n")
	if !strings.HasSuffix(first, `"level":"INFO","msg":"x"}`) || second != "<6>y\n" {
		t.Errorf("logged %q and %q, want JSON and a priority", first, second)
	}
}

// streamOf names f as systemd does.
func streamOf(t *testing.T, f *os.File) string {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

func TestNotifier(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	n := notifier{slog.Default()}
	n.ready("all well")
	n.reloading()
	n.stopping()
	for _, want := range []string{"READY=1\nSTATUS=all well", "RELOADING=1\nMONOTONIC_USEC=", "STOPPING=1\nSTATUS=stopping"} {
		b := make([]byte, 200)
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		k, err := conn.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:k]), want) {
			t.Errorf("systemd got %q, %v, want %q", b[:k], err, want)
		}
	}
}

func TestPortsTable(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out, color: "never"}
	err := a.printPorts([]uart.Info{
		{Path: "/dev/ttyS0", Driver: "serial"},
		{
			Path: "/dev/ttyUSB0", ByID: "/dev/serial/by-id/usb-FTDI_X-if00", Driver: "ftdi_sio", VID: "0403", PID: "6001",
			Manufacturer: "FTDI", Product: "X\x1b", Holders: []uart.Holder{{PID: 7, Command: "cat"}},
		},
	})
	const want = `PORT          NAME TO CONFIGURE  DRIVER    DEVICE             HELD BY
/dev/ttyS0    /dev/ttyS0         serial    -                  -
/dev/ttyUSB0  usb-FTDI_X-if00    ftdi_sio  0403:6001 FTDI X␛  cat (pid 7)
`
	if err != nil || out.String() != want {
		t.Errorf("%v, printed\n%swant\n%s", err, &out, want)
	}
}

func TestHostNodeIsALevel(t *testing.T) {
	if node := hostNode(); checkLevel("node", node) != nil {
		t.Errorf("hostNode() = %q, which is no level", node)
	}
}

func TestKindsAreThere(t *testing.T) {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
		if kindByName(k.name) != k {
			t.Errorf("kindByName(%q) is another", k.name)
		}
	}
	if slices.Sort(names); len(slices.Compact(names)) != len(kinds) {
		t.Errorf("two kinds have one name: %q", names)
	}
}

func TestLoopback(t *testing.T) {
	known := func(context.Context, string) ([]string, error) { return []string{"::1"}, nil }
	unknown := func(context.Context, string) ([]string, error) { return nil, errors.New("no such host") }
	for _, tt := range []struct {
		lookup        func(context.Context, string) ([]string, error)
		address, want string
	}{
		{known, "localhost:1883", "localhost:1883"},
		{unknown, "localhost:1883", "127.0.0.1:1883"},
		{unknown, "hub:1883", "hub:1883"},
		{unknown, "/run/localhost.sock", "/run/localhost.sock"},
	} {
		if got := loopback(t.Context(), tt.lookup, tt.address); got != tt.want {
			t.Errorf("loopback(%q) = %q, want %q", tt.address, got, tt.want)
		}
	}
}
