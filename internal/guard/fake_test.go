package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"edge/internal/gpiochip"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("GUARD_TEST_PROCESS"); name != "" {
		os.Exit(processes[name](os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// A fakeChip is a chip whose lines are files in a directory, so that several processes
// can have them as those of the kernel: a request is an open file with a lock, which
// is let go of when the last descriptor of it is closed. In a file is each value that
// was driven, by whom, and when.
type fakeChip struct {
	dir string
	who string
}

var fakeInfo = gpiochip.ChipInfo{Name: "gpiochip7", Label: "fake", Lines: 64}

func (c fakeChip) path(offset uint32) string { return filepath.Join(c.dir, fmt.Sprint("line", offset)) }

func (c fakeChip) open(string) (gpiochip.Chip, error) { return c, nil }

func (c fakeChip) lock(offset uint32) (*os.File, error) {
	f, err := os.OpenFile(c.path(offset), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (c fakeChip) Info() (gpiochip.ChipInfo, error) { return fakeInfo, nil }

func (c fakeChip) LineInfo(offset uint32) (gpiochip.LineInfo, error) {
	f, err := c.lock(offset)
	if err == nil {
		f.Close()
	}
	return gpiochip.LineInfo{Offset: offset, Used: err != nil}, nil
}

func (c fakeChip) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	offset := r.Lines[0].Offset
	f, err := c.lock(offset)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &gpiochip.BusyError{Chip: fakeInfo.Label, Line: gpiochip.LineInfo{Offset: offset, Used: true}}
	}
	if err != nil {
		return nil, err
	}
	l := fakeLines{f, c.who}
	return l, l.put("requests", values(r))
}

func (c fakeChip) Close() error { return nil }

// descend returns lines of a descriptor that has come through a socket.
func (c fakeChip) descend(f *os.File) gpiochip.Lines { return fakeLines{f, c.who} }

type fakeLines struct {
	file *os.File
	who  string
}

func (l fakeLines) put(verb string, values uint64) error {
	_, err := fmt.Fprintln(l.file, l.who, verb, values, time.Now().UnixNano())
	return err
}

func (l fakeLines) SyscallConn() (syscall.RawConn, error) { return l.file.SyscallConn() }

func (l fakeLines) SetValues(_, values uint64) error { return l.put("sets", values) }

func (l fakeLines) Values(uint64) (uint64, error) {
	all, err := drives(io.NewSectionReader(l.file, 0, 1<<30))
	if err != nil || len(all) == 0 {
		return 0, errors.Join(err, errors.New("nothing was ever driven"))
	}
	return all[len(all)-1].value, nil
}

func (l fakeLines) ReadEvent(ctx context.Context) (gpiochip.Event, error) {
	<-ctx.Done()
	return gpiochip.Event{}, ctx.Err()
}

func (l fakeLines) Close() error { return l.file.Close() }

// A drive is one line of such a file.
type drive struct {
	who, verb string
	value     uint64
	at        time.Time
}

func drives(r io.Reader) (all []drive, err error) {
	for s := bufio.NewScanner(r); s.Scan(); {
		var d drive
		var ns int64
		if _, err := fmt.Sscan(s.Text(), &d.who, &d.verb, &d.value, &ns); err != nil {
			return nil, fmt.Errorf("%q: %w", s.Text(), err)
		}
		d.at = time.Unix(0, ns)
		all = append(all, d)
	}
	return all, nil
}

func (c fakeChip) trace(t testing.TB, offset uint32) []drive {
	t.Helper()
	f, err := os.Open(c.path(offset))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := drives(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// story is the trace without times, and without what is driven twice.
func (c fakeChip) story(t testing.TB, offset uint32) string {
	t.Helper()
	var parts []string
	for _, d := range c.trace(t, offset) {
		part := fmt.Sprint(d.who, " ", d.verb, " ", d.value)
		if len(parts) == 0 || parts[len(parts)-1] != part {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// A cable is a wire within the process, on the clock of a test.
type cable struct {
	in, out chan parcel
	here    chan struct{} // closed by this end
	there   chan struct{}
	once    *sync.Once
	frozen  *atomic.Bool // whose end it is does not run: it neither writes nor reads
}

type parcel struct {
	frame frame
	file  *os.File
}

func newCable() (a, b *cable) {
	x, y := make(chan parcel, 300), make(chan parcel, 300)
	left, right := make(chan struct{}), make(chan struct{})
	return &cable{x, y, left, right, new(sync.Once), new(atomic.Bool)}, &cable{y, x, right, left, new(sync.Once), new(atomic.Bool)}
}

func (c *cable) read() (f frame, file *os.File, err error) {
	f, file, err = c.receive()
	for c.frozen.Load() {
		time.Sleep(time.Millisecond)
	}
	return f, file, err
}

func (c *cable) receive() (frame, *os.File, error) {
	select {
	case <-c.here:
		return frame{}, nil, os.ErrClosed
	case p := <-c.in:
		return p.frame, p.file, nil
	case <-c.there:
	}
	select {
	case p := <-c.in:
		return p.frame, p.file, nil
	default:
		return frame{}, nil, io.EOF
	}
}

func (c *cable) write(f frame, lines syscall.Conn) error {
	b, err := f.encode()
	if err != nil {
		return err
	}
	if c.frozen.Load() {
		return nil
	}
	p := parcel{}
	if p.frame, err = decode(b); err != nil {
		return err
	}
	if lines != nil {
		if p.file, err = duplicate(lines); err != nil {
			return err
		}
	}
	select {
	case <-c.there:
		return syscall.EPIPE
	case <-c.here:
		return os.ErrClosed
	case c.out <- p:
		return nil
	default:
		return os.ErrDeadlineExceeded
	}
}

func duplicate(lines syscall.Conn) (*os.File, error) {
	raw, err := lines.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if e := raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); e != nil || err != nil {
		return nil, errors.Join(e, err)
	}
	return os.NewFile(uintptr(fd), "duplicate"), nil
}

func (c *cable) pending() bool { return len(c.in) > 0 }

func (c *cable) Close() error {
	c.once.Do(func() { close(c.here) })
	return nil
}

// A fakeProcess is one that the test ends.
type fakeProcess struct {
	dead   atomic.Bool
	killed atomic.Int32
}

func (p *fakeProcess) String() string { return "fake" }
func (p *fakeProcess) Close() error   { return nil }
func (p *fakeProcess) ended() bool    { return p.dead.Load() }

func (p *fakeProcess) kill() error {
	p.killed.Add(1)
	return nil
}

// A house is a guard and what belongs to it, in a bubble.
type house struct {
	*testing.T
	chip   fakeChip
	accept chan accepted
	cfg    Config
	once   bool
	alive  func() // of the guard
	stop   context.CancelFunc
	done   chan error
	main   *fakeProcess

	mu     sync.Mutex
	cables []*cable // ends of the guard
	near   *cable   // the other end of the last one
}

type accepted struct {
	wire    wire
	process process
}

type fakeListener struct {
	closed  chan struct{}
	accepts chan accepted
}

func (l fakeListener) accept() (wire, process, error) {
	select {
	case a := <-l.accepts:
		return a.wire, a.process, nil
	case <-l.closed:
		return nil, nil, os.ErrClosed
	}
}

func (l fakeListener) Close() error {
	close(l.closed)
	return nil
}

// inHouse runs test in a bubble with a guard.
func inHouse(t *testing.T, test func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.start()
		test(h)
		h.end()
	})
}

func newHouse(t *testing.T) *house {
	return &house{T: t, chip: fakeChip{dir: t.TempDir()}, accept: make(chan accepted), cfg: DefaultConfig(), main: new(fakeProcess)}
}

// start starts a guard.
func (h *house) start() {
	ctx, cancel := context.WithCancel(context.Background())
	h.stop, h.done = cancel, make(chan error, 1)
	s := &Server{Config: h.cfg, Log: quiet, Once: h.once, Alive: h.alive, descend: h.as("guard").descend}
	go func() { h.done <- s.serve(ctx, fakeListener{make(chan struct{}), h.accept}) }()
}

// end stops the guard.
func (h *house) end() {
	h.stop()
	if err := <-h.done; err != nil {
		h.Errorf("Serve = %v", err)
	}
}

func (h *house) as(who string) fakeChip { return fakeChip{h.chip.dir, who} }

var quiet = slog.New(slog.DiscardHandler)

// client returns a client that runs until stop is called.
func (h *house) client() (c *Client, stop func()) { return h.clientBy(h.dial) }

func (h *house) clientBy(dial func() (wire, error)) (c *Client, stop func()) {
	c = newClient(dial, h.as("main").descend, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		c.Run(ctx, func(State) {})
		close(done)
	}()
	synctest.Wait()
	return c, func() {
		cancel()
		<-done
	}
}

// dial connects to the guard, if one is there to accept.
func (h *house) dial() (wire, error) {
	near, far := newCable()
	select {
	case h.accept <- accepted{far, h.main}:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.cables, h.near = append(h.cables, far), near
		return near, nil
	case <-time.After(time.Millisecond):
		return nil, syscall.ECONNREFUSED
	}
}

// cut ends all connections, as the end of their main process does.
func (h *house) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.cables {
		c.Close()
	}
	h.cables = nil
}

// request asks c for line 17.
func (h *house) request(c *Client, cfg gpiochip.LineConfig) gpiochip.Lines {
	h.Helper()
	l, err := h.tryRequest(c, cfg)
	if err != nil {
		h.Fatal(err)
	}
	return l
}

func (h *house) tryRequest(c *Client, cfg gpiochip.LineConfig) (gpiochip.Lines, error) {
	chip, err := c.Opener(h.as("main").open)("")
	if err != nil {
		return nil, err
	}
	cfg.Offset, cfg.Direction = 17, gpiochip.Output
	return chip.Request(gpiochip.Request{Consumer: "edge:heater", Lines: []gpiochip.LineConfig{cfg}})
}

func (h *house) set(l gpiochip.Lines, value uint64) {
	h.Helper()
	if err := l.SetValues(1, value); err != nil {
		h.Fatalf("SetValues(1, %d): %v", value, err)
	}
}

func (h *house) wantStory(want string) {
	h.Helper()
	synctest.Wait()
	if got := h.chip.story(h.T, 17); got != want {
		h.Errorf("line 17:\n got %s\nwant %s", got, want)
	}
}

// wantHeld checks whether somebody holds line 17.
func (h *house) wantHeld(want bool) {
	h.Helper()
	synctest.Wait()
	if info, err := h.chip.LineInfo(17); err != nil || info.Used != want {
		h.Errorf("line 17 is held: %t, %v, want %t", info.Used, err, want)
	}
}
