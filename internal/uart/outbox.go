package uart

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// An outbox writes data and telnet commands to one connection, whole each: no
// command comes within another, or between the two bytes of an escape.
type outbox struct {
	tcp interface {
		io.Writer
		SetWriteDeadline(t time.Time) error
	}

	write sync.Mutex // held while something is being written
	owed  bool       // the second byte of an escape; the first is sent

	mu       sync.Mutex
	pending  []byte    // commands
	deadline time.Time // of the owner of the port
	busy     bool      // a command is written, under a deadline of its own
}

const (
	// maxPending bounds the answers to a far side that asks and does not read.
	maxPending = 4096

	// commandTime is how long a command may wait for a connection that is full.
	commandTime = 5 * time.Second
)

// Write sends data, escaped. It returns how many bytes of it were taken.
func (o *outbox) Write(data []byte) (int, error) {
	o.write.Lock()
	n, err := o.data(data)
	o.write.Unlock()
	return n, errors.Join(err, o.flush())
}

// data sends data in pieces, so that a big one is not copied whole.
func (o *outbox) data(data []byte) (n int, err error) {
	for len(data) > 0 && err == nil {
		piece := data[:min(len(data), 4096)]
		data = data[len(piece):]
		var done int
		done, err = o.piece(piece)
		n += done
	}
	return n, err
}

func (o *outbox) piece(data []byte) (n int, err error) {
	var b []byte
	if o.owed {
		b = append(b, tnIAC)
	}
	head := len(b)
	b = appendEscaped(b, data)
	sent, err := o.tcp.Write(b)
	if err == nil {
		o.owed = false
		return len(data), nil
	}
	if sent < head {
		return 0, err
	}
	o.owed = false
	for at := head; at < sent; n++ {
		at++
		if data[n] == tnIAC {
			o.owed = at == sent // what is taken, is taken: the rest goes first next time
			at++
		}
	}
	return n, err
}

// command queues a command and sends it, unless somebody writes: then he does.
func (o *outbox) command(b []byte) error {
	o.mu.Lock()
	full := len(o.pending)+len(b) > maxPending
	if !full {
		o.pending = append(o.pending, b...)
	}
	o.mu.Unlock()
	if full {
		return fmt.Errorf("%w: it asks and does not read the answers", ErrGone)
	}
	return o.flush()
}

// flush sends the commands that wait. Whoever could not do it because of a
// writer relies on the writer's flush, which comes after the lock is free.
func (o *outbox) flush() error {
	for o.waiting() && o.write.TryLock() {
		err := o.commands()
		o.write.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *outbox) waiting() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending) > 0
}

// commands sends what is pending, under a deadline of its own: the deadline of
// the port may be over, and a command that is cut would spoil the stream.
func (o *outbox) commands() error {
	o.mu.Lock()
	b := o.pending
	o.pending = nil
	o.busy = true
	_ = o.tcp.SetWriteDeadline(time.Now().Add(commandTime))
	o.mu.Unlock()
	if o.owed {
		b = append([]byte{tnIAC}, b...)
		o.owed = false
	}
	_, err := o.tcp.Write(b)
	if err != nil {
		err = fmt.Errorf("%w (%w)", ErrGone, err)
	}
	o.mu.Lock()
	o.busy = false
	_ = o.tcp.SetWriteDeadline(o.deadline)
	o.mu.Unlock()
	return err
}

// setDeadline is the port's SetWriteDeadline.
func (o *outbox) setDeadline(t time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deadline = t
	if o.busy {
		return nil
	}
	return o.tcp.SetWriteDeadline(t)
}
