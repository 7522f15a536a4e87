package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. It decides when a test
// has failed, not how fast a broker is.
const patience = 30 * time.Second

// listeners are the addresses of a broker; an empty one is not listened at.
type listeners struct {
	tcp, tls, ws string // 127.0.0.1:PORT
	unix         string // a path
	metrics      string // 127.0.0.1:PORT, if the configuration has it
	cert, key    string // PEM files for tls
	config       string // of edge: a file in place of --allow-anonymous and, if it has listeners, of --listen
	dir          string // for what must survive and for the configuration
}

// urls returns what `edge run --listen` takes.
func (l listeners) urls() []string {
	var urls []string
	for _, u := range []struct{ scheme, address, path string }{
		{"tcp", l.tcp, ""}, {"tls", l.tls, ""}, {"ws", l.ws, "/mqtt"}, {"unix", l.unix, ""},
	} {
		if u.address != "" {
			urls = append(urls, u.scheme+"://"+u.address+u.path)
		}
	}
	return urls
}

// A server is a running broker.
type server struct {
	listeners
	cmd   *exec.Cmd
	log   log
	ready chan struct{} // closed by the line that says so
	ended chan struct{} // closed when the process has ended and its log is complete

	stopped bool // by stop
}

// start starts the broker with a TCP listener and ends it after the test.
func start(t testing.TB) *server {
	t.Helper()
	return startWith(t, func(*listeners) {})
}

// startWith starts the broker with the listeners that add puts beside TCP.
func startWith(t testing.TB, add func(*listeners), wrapper ...string) *server {
	t.Helper()
	for range 5 { // another process may have taken a port in between
		l := listeners{tcp: freeAddress(t), dir: t.TempDir()}
		add(&l)
		s := &server{listeners: l}
		if s.begin(t, wrapper) {
			return s
		}
	}
	t.Fatal("no free ports")
	return nil
}

// begin starts the broker and waits until it is ready. It returns false if an
// address is in use.
func (s *server) begin(t testing.TB, wrapper []string) bool {
	t.Helper()
	if err := s.launch(wrapper); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ready:
		t.Cleanup(func() { s.stop(t) })
		return true
	case <-s.ended:
		if strings.Contains(strings.ToLower(s.log.String()), "address already in use") {
			return false
		}
		t.Fatalf("the broker ended before it was ready: %v\n%s", s.cmd.ProcessState, s.log.String())
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
		t.Fatalf("the broker did not say ready within %v:\n%s", patience, s.log.String())
	}
	return false
}

// again starts the broker once more, at the same addresses and with what the one
// before kept. That one has been stopped or killed.
func (s *server) again(t testing.TB) *server {
	t.Helper()
	next := &server{listeners: s.listeners}
	if !next.begin(t, nil) {
		t.Fatalf("another process has taken an address of the broker:\n%s", next.log.String())
	}
	return next
}

// startLimited starts edge with lines for `broker.limits` of its configuration.
func startLimited(t testing.TB, limits string) *server {
	t.Helper()
	stricter(t, "it is not configured in the same way")
	return startWith(t, func(l *listeners) { l.config = "broker: {allow_anonymous: true, limits: {" + limits + "}}" })
}

// launch starts the process and follows its log.
func (s *server) launch(wrapper []string) error {
	b, err := peer()
	if err != nil {
		return err
	}
	args, err := b.command(s.dir, s.listeners)
	if err != nil {
		return err
	}
	args = append(wrapper, args...)
	s.ready, s.ended = make(chan struct{}), make(chan struct{})
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	go s.follow(stderr, b.ready)
	return nil
}

// follow keeps the log and waits for the end of the process.
func (s *server) follow(stderr io.Reader, isReady func(line string) bool) {
	defer close(s.ended)
	ready := sync.OnceFunc(func() { close(s.ready) })
	for r := bufio.NewReader(stderr); ; {
		line, err := r.ReadString('\n')
		s.log.add(line)
		if isReady(strings.TrimSpace(line)) {
			ready()
		}
		if err != nil {
			break
		}
	}
	_ = s.cmd.Wait()
}

// stop ends the broker as systemd would, and says what went wrong within it. A
// test may call it before the end does.
func (s *server) stop(t testing.TB) {
	if s.stopped {
		return
	}
	s.stopped = true
	select {
	case <-s.ended:
		t.Errorf("the broker ended by itself: %v", s.cmd.ProcessState)
	default:
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Errorf("the broker did not end within %v of SIGTERM", patience)
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.examine(t)
}

// kill ends the broker as the kernel would that has no memory left.
func (s *server) kill(t testing.TB) {
	t.Helper()
	s.stopped = true
	select {
	case <-s.ended:
		t.Errorf("the broker ended by itself: %v", s.cmd.ProcessState)
	default:
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.examine(t)
}

// examine looks in the log for what must not be in it.
func (s *server) examine(t testing.TB) {
	text := s.log.String()
	for _, word := range []string{"panic", "goroutine ", "DATA RACE"} {
		if strings.Contains(text, word) {
			t.Errorf("%q in the log of the broker", word)
		}
	}
	if t.Failed() {
		lines := strings.SplitAfter(text, "\n")
		t.Logf("end of the log of the broker:\n%s", strings.Join(lines[max(0, len(lines)-40):], ""))
	}
}

// serves checks that the broker still does what it is for.
func (s *server) serves(t testing.TB) {
	t.Helper()
	c := s.connect(t, login{version: v311, id: "still-there"})
	c.subscribe("still/there", 1)
	c.publish(message{topic: "still/there", qos: 1, payload: "yes"})
	if m := c.receive(); m.payload != "yes" {
		t.Errorf("the broker sent %q, want what was published", m.payload)
	}
	c.disconnect()
}

// log is what a process has written so far.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.WriteString(line)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// freeAddress returns an address that nobody listens at, below the ports that
// Linux gives to outgoing connections (ip_local_port_range, from 32768).
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// socketPath returns a path that fits into sun_path (unix(7): 108 bytes), as
// t.TempDir may not.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}
