package periphpin

import (
	"context"
	"errors"
	"os"
	"time"

	"edge/internal/gpiochip"
)

// WaitForEdge implements gpio.PinIn: a negative timeout waits for ever. A line from
// which no edge can come, since its chip is gone or In has asked for none, is one on
// which none comes: it waits. So a loop around it does not spin.
func (p *Pin) WaitForEdge(timeout time.Duration) bool {
	ctx, cancel := within(timeout)
	defer cancel()
	p.waits.Lock()
	defer p.waits.Unlock()
	lines, halted := p.begin(cancel)
	if halted {
		return false
	}
	if lines == nil {
		<-ctx.Done()
		return false
	}
	e, err := lines.ReadEvent(ctx)
	if err == nil {
		p.count(lines, e)
		return true
	}
	if ctx.Err() == nil && !errors.Is(err, os.ErrClosed) {
		p.fail(lines, err)
		<-ctx.Done()
	}
	return false
}

func within(timeout time.Duration) (context.Context, context.CancelFunc) {
	switch {
	case timeout < 0:
		return context.WithCancel(context.Background())
	case timeout == 0:
		timeout = poll
	}
	return context.WithTimeout(context.Background(), timeout)
}

// begin lets others end the wait by cancel. It returns the line to wait for, nil if
// there is none.
func (p *Pin) begin(cancel context.CancelFunc) (lines gpiochip.Lines, halted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake = cancel
	return p.lines, p.halted
}

// count sees from the number of an edge whether there were others before it.
func (p *Pin) count(lines gpiochip.Lines, e gpiochip.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines != lines {
		return // In was called meanwhile: the numbers begin anew.
	}
	p.lost += uint64(e.LineSeq - p.lineSeq - 1)
	p.lineSeq, p.err = e.LineSeq, nil
}

func (p *Pin) fail(lines gpiochip.Lines, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines == lines {
		p.err = err
	}
}
