package uart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A replay is a conn on a capture: what came from the device comes again, at its
// time, and after the bytes that were sent before it have been sent again.
type replay struct {
	net.Conn // our end; what is written to the other comes from the device
	far      net.Conn
	name     string
	capture  *Capture
	want     []byte // all that was sent to the device
	fast     bool   // times do not matter
	loop     bool   // begin again at the end
	ignore   bool   // what is written does not matter

	stop chan struct{}
	done chan struct{}
	news chan struct{} // sent or over has changed

	mu    sync.Mutex
	sent  int   // bytes written, of those that the capture wants
	over  bool  // the capture is at its end
	wrong error // what was written is not what the capture wants
}

var _ conn = (*replay)(nil)

// openReplay reads the capture of s and begins to replay it.
func openReplay(s source) (*replay, error) {
	f, err := os.Open(s.file)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	c, err := ReadCapture(f)
	if err != nil {
		return nil, err
	}
	r := newReplay(s, c)
	go r.run()
	return r, nil
}

func newReplay(s source, c *Capture) *replay {
	near, far := net.Pipe()
	var want []byte
	for _, k := range c.Chunks {
		if k.Sent {
			want = append(want, k.Bytes...)
		}
	}
	return &replay{
		Conn: near, far: far, name: s.name(), capture: c, want: want,
		fast: s.opts.Get("speed") == "fast", loop: s.opts.Get("loop") == "true", ignore: s.opts.Get("writes") == "ignore",
		stop: make(chan struct{}), done: make(chan struct{}), news: make(chan struct{}, 1),
	}
}

// run plays the capture until its end, or for ever.
func (r *replay) run() {
	defer close(r.done)
	defer r.far.Close()
	for r.play() && r.loop && len(r.capture.Chunks) > 0 {
		r.mu.Lock()
		r.sent -= len(r.want)
		r.mu.Unlock()
	}
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
}

// play plays the capture once. The time of a piece counts from the piece before
// it, and that of an answer thus from when the question was written. It reports
// whether nothing ended it before.
func (r *replay) play() bool {
	last, wanted := time.Duration(0), 0
	due := time.Now()
	for _, c := range r.capture.Chunks {
		due = due.Add(c.At - last)
		last = c.At
		switch {
		case c.Sent && r.ignore:
		case c.Sent:
			wanted += len(c.Bytes)
			if !r.written(wanted) {
				return false
			}
			due = time.Now()
		default:
			if !r.rest(time.Until(due)) {
				return false
			}
			if _, err := r.far.Write(c.Bytes); err != nil {
				return false
			}
		}
	}
	return true
}

func (r *replay) rest(d time.Duration) bool {
	if r.fast || d <= 0 {
		return true
	}
	select {
	case <-r.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// written waits until so many bytes have been written.
func (r *replay) written(wanted int) bool {
	for {
		r.mu.Lock()
		ok := r.sent >= wanted
		r.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-r.stop:
			return false
		case <-r.news:
		}
	}
}

// Write compares b with what the capture has next, and never waits. A
// difference is an error then and from then on.
func (r *replay) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.wrong != nil:
		return 0, r.wrong
	case r.over:
		return 0, fmt.Errorf("%w: the capture is at its end", ErrGone)
	case r.ignore:
		return len(b), nil
	}
	want := r.next(len(b))
	if !bytes.Equal(want, b) {
		r.wrong = fmt.Errorf("the capture has % x where % x is written", want, b)
		return 0, r.wrong
	}
	r.sent += len(b)
	select {
	case r.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

// next returns the n bytes that are to be written next, or as many as there are.
func (r *replay) next(n int) []byte {
	var next []byte
	for at := r.sent; len(next) < n && len(r.want) > 0 && (r.loop || at < len(r.want)); {
		piece := r.want[at%len(r.want):]
		piece = piece[:min(len(piece), n-len(next))]
		next, at = append(next, piece...), at+len(piece)
	}
	return next
}

func (r *replay) Name() string         { return r.name }
func (r *replay) unsent() (int, error) { return 0, nil }
func (r *replay) discard() error       { return nil }

// Read returns what came from the device. The end of the capture is the end of
// the port.
func (r *replay) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	return n, pipeError(err)
}

// SetDeadline is SetReadDeadline, since Write never waits.
func (r *replay) SetDeadline(t time.Time) error { return r.SetReadDeadline(t) }

// SetWriteDeadline does nothing.
func (r *replay) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline bounds reads. A pipe has no deadlines when the capture is at
// its end, and a read then needs none.
func (r *replay) SetReadDeadline(t time.Time) error {
	_ = r.Conn.SetReadDeadline(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(r.wrong, os.ErrClosed) {
		return os.ErrClosed
	}
	return nil
}

// pipeError gives an end of this side the name that it has elsewhere.
func pipeError(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return os.ErrClosed
	}
	return err
}

// Close ends the replay.
func (r *replay) Close() error {
	r.mu.Lock()
	first := r.wrong == nil || !errors.Is(r.wrong, os.ErrClosed)
	r.wrong = os.ErrClosed
	r.mu.Unlock()
	if !first {
		return os.ErrClosed
	}
	close(r.stop)
	err := r.Conn.Close()
	<-r.done
	return err
}
