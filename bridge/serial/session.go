package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"edge/bridge"
	"edge/internal/frame"
	"edge/internal/uart"
)

// A session is a port that is open: one Run.
type session struct {
	base    bridge.Base
	cfg     Config
	port    *uart.Port
	bus     *uart.Bus // of port: what is written waits for a client of the tap
	tap     *uart.Tap // nil: none
	client  bridge.Client
	frames  *frame.Splitter
	build   *frame.Builder  // nil: commands say all of a frame
	writers map[int]*writer // by entity
	torn    bool            // the stick has got the beginning of a command
	optical *optical        // nil: the line keeps its rate

	// mu is held while the book is changed and while its news are published,
	// so that they leave in the order in which they came.
	mu        sync.Mutex
	book      *book
	poller    *poller // changed by write only
	waiting   *waiter // for an answer; nil: nobody is
	commands  tally   // that are answered
	unmatched uint64  // frames that nobody was waiting for

	ready chan struct{} // closed when answers are read

	orders chan incoming
	gate   sync.Mutex // held by handlers while they run
	over   bool       // no handler does anything any more
}

func newSession(b *Bridge, port *uart.Port, c bridge.Client) (*session, error) {
	book, err := newBook(b.cfg, time.Now())
	if err != nil {
		return nil, err
	}
	s := &session{
		base: b.base, cfg: b.cfg, port: port, client: c, book: book, torn: port.Echoed(),
		bus:    uart.NewBus(port),
		frames: frame.NewSplitter(b.cfg.spec()), build: b.cfg.builder(),
		poller:  newPoller(b.cfg.Requests, time.Now()),
		ready:   make(chan struct{}),
		orders:  make(chan incoming, backlog),
		writers: map[int]*writer{},
	}
	s.tap = b.tapOf(s.bus)
	if b.cfg.ModeC {
		s.optical = &optical{port: port, first: b.cfg.line(), current: b.cfg.Baud}
	}
	for i, e := range b.cfg.Entities {
		if !e.takesCommands() {
			continue
		}
		if s.writers[i], err = compile(e, s.build); err != nil {
			return nil, fmt.Errorf("command of %s: %w", e.ID, err)
		}
	}
	return s, nil
}

// align finds the beginning of a line. The end of 21.4 is 1.4, which no check
// would find: if bytes come at once, the first line was not heard from its
// beginning and does not count. An object in JSON shows by itself that it is
// whole.
func (s *session) align() error {
	if s.cfg.Format == JSON {
		return nil
	}
	_ = s.port.SetReadDeadline(time.Now().Add(breath(s.cfg.Baud)))
	buf := make([]byte, 512)
	n, err := s.port.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = s.port.SetReadDeadline(time.Now().Add(lookAgain))
		n, err = s.port.Read(buf)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if !s.port.Echoed() { // what came before the line was set is gone
			return nil
		}
		err = nil
	}
	s.frames.SkipFirst()
	s.book.bytes += uint64(n)
	s.frames.Feed(buf[:n], time.Now(), func([]byte) {})
	return err
}

// serve announces the device when it can be commanded, then carries lines from
// the stick to the broker until the port is gone.
func (s *session) serve(ctx context.Context, d bridge.Device) error {
	if err := s.listen(ctx); err != nil {
		return err
	}
	if err := bridge.Announce(ctx, s.client, d); err != nil {
		return err
	}
	close(s.ready)
	buf := make([]byte, 4096)
	for {
		if err := s.flush(ctx); err != nil {
			return err
		}
		n, err := s.read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err := s.optical.hear(ctx, buf[:n]); err != nil {
			return err
		}
		if err := s.take(ctx, buf[:n]); err != nil {
			return err
		}
	}
}

// lookAgain is how long a second look at the port may take.
const lookAgain = 2 * time.Millisecond

// read waits for bytes, or for the time at which there is something to do
// without. Before that is the end of a frame by silence, it looks again: on a
// busy machine, what came in time may not have been read in time.
func (s *session) read(buf []byte) (int, error) {
	n, err := s.port.Read(buf)
	if end := s.frames.Deadline(); errors.Is(err, os.ErrDeadlineExceeded) && !end.IsZero() && !time.Now().Before(end) {
		_ = s.port.SetReadDeadline(time.Now().Add(lookAgain))
		return s.port.Read(buf)
	}
	return n, err
}

// take publishes what the frames in chunk say. No bytes are silence.
func (s *session) take(ctx context.Context, chunk []byte) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.book.bytes += uint64(len(chunk))
	emit := func(f []byte) {
		s.book.failed(s.frames.Stats())
		if e := s.frame(ctx, f, now); err == nil {
			err = e
		}
	}
	s.frames.Feed(chunk, now, emit)
	if end := s.frames.Deadline(); len(chunk) == 0 && !end.IsZero() && !now.Before(end) {
		s.frames.Expire(emit)
	}
	s.book.failed(s.frames.Stats())
	return err
}

func (s *session) publishState(ctx context.Context, i int) error {
	return bridge.PublishState(ctx, s.client, s.base, s.cfg.Entities[i].ID, s.book.state(i))
}

// flush publishes the attributes that are due, and has Read return when the next
// ones are.
func (s *session) flush(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.book.expire(now)
	for _, i := range s.book.due(now) {
		if err := bridge.PublishAttr(ctx, s.client, s.base, s.cfg.Entities[i].ID, s.attr(i)); err != nil {
			return err
		}
	}
	next := s.book.next()
	if end := s.frames.Deadline(); next.IsZero() || !end.IsZero() && end.Before(next) {
		next = end
	}
	return s.port.SetReadDeadline(next)
}
