package guard

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// handle does what e asks for.
func (s *Server) handle(now time.Time, e event) {
	if e.file != nil {
		// What is kept of it is a descriptor of its own.
		defer func() {
			if e.file != nil {
				e.file.Close()
			}
		}()
	}
	c := e.session
	switch {
	case e.fresh:
		s.welcome(now, c)
	case !slices.Contains(s.peers, c): // It has been given up.
	case e.err != nil || c != s.main && e.frame.Op != opHello:
		s.gone(now, c)
	case e.frame.Op == opHello:
		s.hello(now, c, e.frame)
	default:
		s.serveMain(now, c, &e)
	}
}

// welcome greets who has connected.
func (s *Server) welcome(now time.Time, c *session) {
	if len(s.peers) >= maxPeers {
		c.Close()
		return
	}
	c.begun = now
	s.peers = append(s.peers, c)
	if err := c.write(frame{Op: opWelcome, Version: version, Patience: s.Patience}, nil); err != nil {
		s.hangUp(c)
	}
}

// gone is told that a connection has ended, or is worth nothing. If it was that of the
// main process, and that has not said goodbye, it has died.
func (s *Server) gone(now time.Time, c *session) {
	switch {
	case c != s.main:
		s.hangUp(c)
	case c.goodbye:
		s.main = nil
		s.hangUp(c)
	default:
		s.takeOver(now, "the main process is gone")
	}
}

// hello makes c the main process. What it finds is as the one before has left it.
func (s *Server) hello(now time.Time, c *session, f frame) {
	if old := s.main; old != nil && old != c && old.ended() {
		s.takeOver(now, "the main process is gone")
	}
	if f.Version != version {
		s.refuse(c, f, fmt.Errorf("the guard speaks version %d, not %d; restart it", version, f.Version))
		return
	}
	if s.main != nil {
		s.refuse(c, f, errBusy(s.main.process))
		return
	}
	s.Log.Info("the main process is here", "main", c.process)
	// Should this be the process that was lost, and not know it, it must not believe
	// that its lines are as it has left them.
	a := frame{Op: opAnswer, Seq: f.Seq, Held: s.lost != nil}
	if s.lost != nil {
		s.lost.Close()
		s.lost = nil
	}
	s.main, s.came, c.alive = c, true, now
	c.written(now, f)
	s.held.disuse(now)
	s.answer(c, a, nil)
}

func (s *Server) refuse(c *session, f frame, err error) {
	s.Log.Warn("a process is refused", "process", c.process, "err", err)
	s.answer(c, frame{Op: opAnswer, Seq: f.Seq, Error: err.Error()}, nil)
	s.hangUp(c)
}

// answer sends f. A main process that cannot be written to does not read: it will be
// missed soon.
func (s *Server) answer(c *session, f frame, lines syscall.Conn) {
	if err := c.write(f, lines); err != nil {
		s.Log.Debug("an answer is not sent", "op", f.Op, "err", err)
	}
}

// serveMain does what the main process asks for.
func (s *Server) serveMain(now time.Time, c *session, e *event) {
	f := e.frame
	a := frame{Op: opAnswer, Seq: f.Seq}
	var lines syscall.Conn
	var err error
	switch f.Op {
	case opBeat:
		if alive := c.written(now, f).Add(-f.Age); alive.After(c.alive) {
			c.alive = alive
		}
		a.Op = opAck
	case opFree:
		a.Held = s.held.free(*f.Lines)
	case opTake:
		lines, err = s.give(*f.Lines)
		a.Held = lines != nil
	case opHold:
		err = s.receive(*f.Lines, e.file)
		e.file = nil
	case opLeave:
		s.held.leave(*f.Lines, now)
		return
	case opDisown:
		s.disown(c)
		return
	case opGoodbye:
		s.farewell(now, c)
	default:
		s.gone(now, c)
		return
	}
	if err != nil {
		a.Error = err.Error()
	}
	s.answer(c, a, lines)
}

// give returns the lines of q for the main process, nil if they are not held.
func (s *Server) give(q request) (syscall.Conn, error) {
	h, err := s.held.take(q)
	if h == nil || err != nil {
		return nil, err
	}
	lines, ok := h.lines.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return lines, nil
}

// receive holds what the main process has requested of the kernel.
func (s *Server) receive(q request, file *os.File) error {
	if file == nil {
		return errors.New("no descriptor has come")
	}
	lines := s.descend(file)
	err := s.held.add(q, lines, true)
	if err != nil {
		lines.Close()
	}
	return err
}

// disown lets a main process go that has had no answers for long, and goes on without
// a guard. Nothing is driven: its lines are in good hands.
func (s *Server) disown(c *session) {
	s.Log.Warn("the main process goes on without this guard, which did not answer", "main", c.process)
	s.held.release(func(*held) bool { return true })
	s.main = nil
	s.hangUp(c)
}

// farewell notes that the main process ends in order. What it has not left is made
// safe.
func (s *Server) farewell(now time.Time, c *session) {
	s.Log.Info("the main process has said goodbye", "main", c.process)
	s.held.drive(func(h *held) bool { return h.used })
	s.held.disuse(now)
	c.goodbye, s.ended = true, s.Once
}
