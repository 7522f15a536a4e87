package broker

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// restraint bounds what strangers can write into the log, which is a file on the
// card: of lines with the same message, so many in a while. The last of them says
// that more are left out, and the next one after that, how many. Nothing is left
// out at the levels debug, which somebody has asked for, and error.
type restraint struct {
	slog.Handler
	books *books
}

// Bounds of lines with the same message.
const (
	mostLines = 20
	linesTime = 10 * time.Second
)

// restrained returns log with restraint.
func restrained(log *slog.Logger) *slog.Logger {
	return slog.New(restraint{log.Handler(), &books{entries: make(map[string]*entry)}})
}

// Handle implements slog.Handler.
func (h restraint) Handle(ctx context.Context, r slog.Record) error {
	if r.Level != slog.LevelInfo && r.Level != slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	nth, missing := h.books.enter(r.Message, r.Time)
	switch {
	case nth > mostLines:
		return nil
	case nth == mostLines:
		r.AddAttrs(slog.String("more", "lines like this are left out for up to "+linesTime.String()))
	case missing > 0:
		r.AddAttrs(slog.Int("left_out", missing))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h restraint) WithAttrs(a []slog.Attr) slog.Handler {
	return restraint{h.Handler.WithAttrs(a), h.books}
}

// WithGroup implements slog.Handler.
func (h restraint) WithGroup(name string) slog.Handler {
	return restraint{h.Handler.WithGroup(name), h.books}
}

// books count lines, by their messages. These are constants of the program, so
// there are not many.
type books struct {
	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	began time.Time
	lines int // since began
}

// enter counts a line. It returns how many there were in this while with it, and
// how many were left out of the while before, if it is the first in this one.
func (b *books) enter(message string, now time.Time) (nth, missing int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[message]
	if e == nil {
		e = new(entry)
		b.entries[message] = e
	}
	if now.Sub(e.began) >= linesTime {
		missing = max(0, e.lines-mostLines)
		*e = entry{began: now}
	}
	e.lines++
	return e.lines, missing
}
