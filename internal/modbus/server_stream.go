package modbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ServeStream is a server on a line: it serves the requests to those units
// that it is one of, and hears past what others say to each other. It returns
// nil when ctx ends, and the error of the port otherwise. f is RTU or ASCII;
// of t, Timeout is how long writing may take.
func ServeStream(ctx context.Context, p Port, f Framing, t Timing, units func(byte) bool, h Handler) error {
	if f != RTU && f != ASCII {
		return fmt.Errorf("framing %q is not for a line", f)
	}
	stop := interrupt(ctx, p)
	s := &stream{
		port: p, framing: f, timing: t.withDefaults(f, p),
		units: units, handler: h, tmp: make([]byte, 512),
	}
	err := s.serve(ctx)
	stop()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// A stream is a server on a line.
type stream struct {
	port    Port
	framing Framing
	timing  Timing
	units   func(byte) bool
	handler Handler

	rx, tx, tmp []byte
	last        time.Time // when the last byte came
	sent        []byte    // the last reply, until something else came
	sentAt      time.Time
	plain       bool // it is known that what is sent does not come back
}

// serve waits for a silence and looks whether a request came before it. What
// is none may be the beginning of one; it is kept for the gap.
func (s *stream) serve(ctx context.Context) error {
	looked := false
	for {
		var deadline time.Time
		switch {
		case len(s.rx) > 0 && looked:
			deadline = s.last.Add(s.timing.Gap)
		case len(s.rx) > 0:
			deadline = s.last.Add(s.timing.Guard)
		}
		err := s.read(ctx, deadline)
		switch {
		case err == nil:
			looked = false
		case !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil:
			return err
		case looked:
			s.rx = s.rx[:0]
		default:
			looked = true
			if err := s.look(ctx); err != nil {
				return err
			}
		}
	}
}

// read appends to s.rx what comes until deadline.
func (s *stream) read(ctx context.Context, deadline time.Time) error {
	if err := s.port.SetReadDeadline(deadline); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // interrupt may have come before
		return err
	}
	n, err := s.port.Read(s.tmp)
	if n == 0 {
		return err
	}
	s.rx = append(s.rx, s.tmp[:n]...)
	s.last = time.Now()
	const keep = maxASCII + maxRTU
	if len(s.rx) > 2*keep {
		s.rx = append(s.rx[:0], s.rx[len(s.rx)-keep:]...)
	}
	return nil
}

// look serves all requests in s.rx.
func (s *stream) look(ctx context.Context) error {
	for {
		if s.sent != nil && !twin(s.framing, s.sent) && bytes.Contains(s.rx, s.sent) {
			s.sent = nil
		}
		unit, req, frame, end := findRequest(s.framing, s.rx, s.units)
		if req == nil {
			return nil
		}
		echo := s.isEcho(frame)
		s.rx = append(s.rx[:0], s.rx[end:]...)
		if echo {
			continue
		}
		if err := s.reply(ctx, unit, req); err != nil {
			return err
		}
	}
}

// isEcho reports whether a request is the last reply, which an adapter with
// two wires hears: those to functions 5, 6 and 22 look the same. An echo comes
// at once, and before anything else.
func (s *stream) isEcho(frame []byte) bool {
	sent := s.sent
	s.sent = nil
	if !bytes.Equal(frame, sent) {
		s.plain = s.plain || sent != nil
		return false
	}
	return !s.plain && time.Since(s.sentAt) < s.timing.Gap
}

// twin reports whether a frame with a reply is a request, too.
func twin(f Framing, frame []byte) bool {
	_, req, _, _ := findRequest(f, frame, func(byte) bool { return true })
	return req != nil
}

func (s *stream) reply(ctx context.Context, unit byte, req PDU) error {
	reply := answer(s.handler, unit, req)
	if reply == nil || unit == Broadcast {
		return nil
	}
	var err error
	if s.tx, err = AppendFrame(s.tx[:0], s.framing, 0, unit, reply); err != nil {
		return err
	}
	err = write(ctx, s.port, s.timing, s.tx)
	s.sent, s.sentAt = s.tx, time.Now()
	return err
}

// findRequest returns the first request in b to one of units, or a broadcast,
// its frame, and where it ends. A frame of RTU ends where b does, since silence
// follows it.
func findRequest(f Framing, b []byte, units func(byte) bool) (unit byte, req PDU, frame []byte, end int) {
	mine := func(unit byte) bool { return unit == Broadcast || units(unit) }
	if f == ASCII {
		return findRequestASCII(b, mine)
	}
	for i := max(0, len(b)-maxRTU); i+4 <= len(b); i++ {
		if !mine(b[i]) {
			continue
		}
		n := requestLength(b[i+1:])
		if n == unknown && i == 0 || n == len(b)-i-3 {
			if unit, req, err := DecodeRTU(b[i:]); err == nil {
				return unit, req, b[i:], len(b)
			}
		}
	}
	return 0, nil, nil, 0
}

func findRequestASCII(b []byte, mine func(byte) bool) (unit byte, req PDU, frame []byte, end int) {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0, nil, nil, 0
		}
		frame, end = b[at:at+i+1], at+i+1
		at = end
		frame = frame[max(0, bytes.LastIndexByte(frame, ':')):]
		unit, req, err := DecodeASCII(frame)
		if err == nil && mine(unit) {
			return unit, req, frame, end
		}
	}
}
