package sim

import (
	"context"
	"sync"
	"time"
)

// Bridge ties a pseudo-terminal to the bus until ctx ends, so that a program
// that opens its port is on the bus, at the rate of the bus. What the program
// does not read in time is lost.
func (b *Bus) Bridge(ctx context.Context, pty *PTY) error {
	end := b.Tie()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		end.Close()
		_ = pty.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	var hears sync.WaitGroup
	defer hears.Wait()
	defer cancel()
	hears.Go(func() { tell(pty, end) })
	buf := make([]byte, 512)
	for {
		n, err := patient{ctx, pty}.Read(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := end.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// tell passes on what is heard until the end is closed.
func tell(pty *PTY, end *BusEnd) {
	buf := make([]byte, 512)
	for {
		n, err := end.Read(buf)
		if err != nil {
			return
		}
		_ = pty.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = pty.Write(buf[:n])
	}
}
