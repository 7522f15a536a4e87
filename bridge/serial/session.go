package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"edge/bridge"
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
	lines   splitter
	writers map[int]*writer // by entity
	torn    bool            // the stick has got the beginning of a command

	// mu is held while the book is changed and while its news are published,
	// so that they leave in the order in which they came.
	mu   sync.Mutex
	book *book

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
		lines:   splitter{delimiter: []byte(b.cfg.Delimiter), max: b.cfg.MaxLine},
		bus:     uart.NewBus(port),
		orders:  make(chan incoming, backlog),
		writers: map[int]*writer{},
	}
	s.tap = b.tapOf(s.bus)
	for i, e := range b.cfg.Entities {
		if e.Command == "" {
			continue
		}
		if s.writers[i], err = compile(e); err != nil {
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
		return nil
	}
	s.lines.skip = true
	s.book.bytes += uint64(n)
	s.lines.feed(buf[:n], func([]byte) {}, func() {})
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
	buf := make([]byte, 4096)
	for {
		if err := s.flush(ctx); err != nil {
			return err
		}
		n, err := s.port.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err := s.take(ctx, buf[:n]); err != nil {
			return err
		}
	}
}

// take publishes what the lines in chunk say.
func (s *session) take(ctx context.Context, chunk []byte) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.book.bytes += uint64(len(chunk))
	s.lines.feed(chunk, func(line []byte) {
		for _, i := range s.book.line(line, now) {
			if err == nil {
				err = s.publishState(ctx, i)
			}
		}
	}, s.book.long)
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
		attr := s.book.attr(i)
		count(attr.Counters, s.port)
		s.countTap(attr.Counters)
		if err := bridge.PublishAttr(ctx, s.client, s.base, s.cfg.Entities[i].ID, attr); err != nil {
			return err
		}
	}
	return s.port.SetReadDeadline(s.book.next())
}
