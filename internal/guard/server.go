package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"edge/internal/gpiochip"
)

const (
	// suspicion is how long a main process is given whose time is over: the beats of
	// a busy machine may have come, and not been read.
	suspicion = 10 * time.Millisecond

	// leftTime is how long lines are held that the main process has closed, or has not
	// come for, while it is there: it is about to have them again, or does without.
	leftTime = time.Minute

	// acquireTime is how often the guard tries to take the lines before the main
	// process has come.
	acquireTime = 5 * time.Second
)

// A Server is a guard. Everything in it belongs to the goroutine of Serve.
type Server struct {
	Config
	Log *slog.Logger

	// Once ends Serve when the main process has said goodbye.
	Once bool

	// Acquire takes lines before the main process has come, and gives them to own. It
	// is tried until it returns nil, or the main process has come. It may be nil.
	Acquire func(own Own) error

	// Alive is called again and again while the guard does what it is there for. It
	// may be nil.
	Alive func()

	held    holding
	peers   []*session
	main    *session // that has said hello; nil if there is none
	lost    *loss    // of a main process that has not come back
	warned  bool     // of what cannot be acquired
	came    bool     // there has been a main process
	next    time.Time
	due     time.Time // of the next tick
	grace   time.Time // until then, nobody is given up
	ended   bool
	events  chan event
	descend func(*os.File) gpiochip.Lines
}

// Own gives the guard lines of a chip that were requested at their safe values.
type Own func(chip gpiochip.ChipInfo, r gpiochip.Request, lines gpiochip.Lines) error

// A session is one connection.
type session struct {
	wire
	process
	begun   time.Time
	alive   time.Time // as the last beat says
	skew    skew
	suspect bool
	goodbye bool
}

// written returns when a frame was written that has come now.
func (s *session) written(now time.Time, f frame) time.Time {
	return s.begun.Add(s.skew.written(now.Sub(s.begun), f.Clock))
}

// Close ends the connection.
func (s *session) Close() error { return errors.Join(s.wire.Close(), s.process.Close()) }

// A loss is that of a main process, which may be there all the same.
type loss struct {
	process
	at     time.Time
	killed bool
}

// An event is what a goroutine that waits has to say to the one that owns everything.
type event struct {
	*session
	frame frame
	file  *os.File
	err   error
	fresh bool // it has just connected
}

type listener interface {
	accept() (wire, process, error)
	Close() error
}

// Serve guards until ctx ends. Then lines for which nobody answers are made safe,
// and all are given back.
func (s *Server) Serve(ctx context.Context, l *Listener) error { return s.serve(ctx, l) }

func (s *Server) serve(ctx context.Context, l listener) error {
	if s.descend == nil {
		s.descend = gpiochip.NewLines
	}
	s.held.log, s.events = s.Log, make(chan event)
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	defer s.end()
	helpers.Go(func() { s.listen(ctx, l, &helpers) })
	helpers.Go(func() {
		<-ctx.Done()
		l.Close()
	})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !s.ended {
		select {
		case <-ctx.Done():
			return nil
		case e := <-s.events:
			s.handle(time.Now(), e)
		case <-timer.C:
			s.tick()
			idle := s.idle(time.Now())
			s.due = time.Now().Add(idle)
			timer.Reset(idle)
		}
	}
	return nil
}

// listen accepts connections, each of which gets a goroutine that reads it.
func (s *Server) listen(ctx context.Context, l listener, helpers *sync.WaitGroup) {
	for ctx.Err() == nil {
		w, p, err := l.accept()
		if err != nil { // Out of descriptors, most likely: wait for better times.
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		c := &session{wire: w, process: p}
		if !s.tell(ctx, event{session: c, fresh: true}) {
			c.Close()
			return
		}
		helpers.Go(func() { s.hear(ctx, c) })
	}
}

func (s *Server) hear(ctx context.Context, c *session) {
	for {
		f, file, err := c.read()
		if !s.tell(ctx, event{session: c, frame: f, file: file, err: err}) {
			if file != nil {
				file.Close()
			}
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *Server) tell(ctx context.Context, e event) bool {
	select {
	case s.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// idle returns when to tick again.
func (s *Server) idle(now time.Time) time.Duration {
	idle := pace(s.Patience)
	if s.main != nil {
		idle = min(idle, s.main.alive.Add(s.Patience).Sub(now))
	}
	return max(idle, suspicion)
}

// tick does what is due. A guard that is late was not alone in that, most likely: a main
// process that was stopped with it must have time for a beat.
func (s *Server) tick() {
	if s.Alive != nil {
		s.Alive()
	}
	now := time.Now()
	if beat := pace(s.Patience); !s.due.IsZero() && now.Sub(s.due) > beat {
		s.grace = now.Add(beat)
	}
	if s.main != nil {
		s.watch(now)
	}
	if s.lost != nil && !s.lost.ended() {
		s.insist(now)
	}
	for _, c := range slices.Clone(s.peers) {
		if c != s.main && now.Sub(c.begun) > answerTime {
			s.hangUp(c)
		}
	}
	if s.main != nil {
		s.held.release(func(h *held) bool { return !h.used && now.Sub(h.since) > leftTime })
	}
	if s.Acquire != nil && !s.came && !now.Before(s.next) {
		s.acquire(now)
	}
}

// watch takes over from a main process that has been silent for too long, or whose
// lines have been without their owners. It looks twice, with everything read in between.
func (s *Server) watch(now time.Time) {
	for more := true; more && s.main != nil; {
		select {
		case e := <-s.events:
			s.handle(time.Now(), e)
		default:
			more = false
		}
	}
	c := s.main
	switch {
	case c == nil:
	case now.Before(c.alive.Add(s.Patience)):
		c.suspect = false
	case !c.suspect || c.pending() || now.Before(s.grace):
		c.suspect = true
	default:
		s.takeOver(now, "no sign of life")
	}
}

// takeOver makes everything safe, for the main process does not answer for it.
func (s *Server) takeOver(now time.Time, why string) {
	c := s.main
	s.held.driveAll()
	s.held.disuse(now)
	for _, h := range s.held.all {
		h.left = false
	}
	s.Log.Error("outputs are made safe", "why", why, "main", c.process, "lines", s.held.count(), "silent", now.Sub(c.alive).Round(time.Millisecond))
	// It may be gone, or full of what was not read.
	_ = c.write(frame{Op: opTakenOver}, nil)
	c.wire.Close()
	s.drop(c)
	s.main, s.lost = nil, &loss{process: c.process, at: now}
}

// insist makes everything safe again, for a process that goes on where it was stopped
// may be about to drive a line, and ends one that does not come back.
func (s *Server) insist(now time.Time) {
	s.held.driveAll()
	if s.KillAfter == 0 || s.lost.killed || now.Sub(s.lost.at) < s.KillAfter {
		return
	}
	s.lost.killed = true
	if err := s.lost.kill(); err != nil {
		s.Log.Error("the main process hangs, and cannot be killed", "main", s.lost.process, "err", err)
		return
	}
	s.Log.Error("the main process is killed, since it hangs", "main", s.lost.process)
}

func (s *Server) acquire(now time.Time) {
	s.next = now.Add(acquireTime)
	err := s.Acquire(func(chip gpiochip.ChipInfo, r gpiochip.Request, lines gpiochip.Lines) error {
		q, outputs := newRequest(chip, r)
		if !outputs {
			return errors.New("only outputs are guarded")
		}
		return s.held.add(q, lines, false)
	})
	if err == nil {
		s.Acquire = nil
		s.Log.Info("outputs are held at their safe levels", "lines", s.held.count())
		return
	}
	if !s.warned {
		s.Log.Warn("not all outputs are held; they are tried again until the main process comes", "err", err)
	}
	s.warned = true
}

// end makes safe what nobody answers for, and gives everything back.
func (s *Server) end() {
	if s.main == nil {
		s.held.drive(func(h *held) bool { return !h.left })
	}
	for _, c := range slices.Clone(s.peers) {
		s.hangUp(c)
	}
	if s.lost != nil {
		s.lost.Close()
	}
	s.held.release(func(*held) bool { return true })
}

// hangUp ends a connection.
func (s *Server) hangUp(c *session) {
	c.Close()
	s.drop(c)
}

func (s *Server) drop(c *session) {
	s.peers = slices.DeleteFunc(s.peers, func(p *session) bool { return p == c })
}

// errBusy tells a process that it is not the only one.
func errBusy(p process) error { return fmt.Errorf("another main process is there: %v", p) }
