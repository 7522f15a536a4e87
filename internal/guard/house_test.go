package guard

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/gpiochip"
)

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
	return c, run(c)
}

// run runs c until stop is called.
func run(c *Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		c.Run(ctx, func(State) {})
		close(done)
	}()
	synctest.Wait()
	return func() {
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

// hello connects as a main process that says nothing but hello.
func (h *house) hello() *cable {
	h.Helper()
	w, err := h.dial()
	if err != nil {
		h.Fatal(err)
	}
	if err := w.write(frame{Op: opHello, Version: version, Seq: 1}, nil); err != nil {
		h.Fatal(err)
	}
	return w.(*cable)
}

// owner shows that it is alive until stop is called.
func owner(l gpiochip.Lines) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(l.(Guarded).Alive()):
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
