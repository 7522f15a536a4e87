package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// newLogger returns a logger as stderr likes it: the journal gets lines with a
// priority and without a time of their own, a terminal short and coloured
// ones, anything else JSON.
func (a *app) newLogger(level slog.Leveler) *slog.Logger {
	switch {
	case isJournal(a.err):
		return slog.New(&lineHandler{w: a.err, mu: new(sync.Mutex), level: level, journal: true})
	case isTerminal(a.err):
		return slog.New(&lineHandler{w: a.err, mu: new(sync.Mutex), level: level, paint: func(c color, s string) string { return a.paint(a.err, c, s) }})
	}
	return slog.New(slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// isJournal reports whether w is what systemd connected to the journal: it
// says device and inode of the stream in $JOURNAL_STREAM (systemd.exec(5)).
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	stream := os.Getenv("JOURNAL_STREAM")
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// A lineHandler writes one line of text for each record.
type lineHandler struct {
	mu      *sync.Mutex
	w       io.Writer
	level   slog.Leveler
	journal bool
	paint   func(color, string) string
	attrs   []slog.Attr
	group   string
}

// Enabled implements slog.Handler.
func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// WithAttrs implements slog.Handler.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	other := *h
	other.attrs = slices.Clip(h.attrs)
	for _, attr := range attrs {
		attr.Key = h.group + attr.Key
		other.attrs = append(other.attrs, attr)
	}
	return &other
}

// WithGroup implements slog.Handler.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	other := *h
	other.group += name + "."
	return &other
}

// Handle implements slog.Handler.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	if h.journal {
		fmt.Fprintf(&b, "<%d>%s", priority(r.Level), r.Message)
	} else {
		fmt.Fprintf(&b, "%s %s %s", h.paint(dim, r.Time.Format(time.TimeOnly)), h.paint(levelColor(r.Level), levelName(r.Level)), r.Message)
	}
	for _, attr := range h.attrs {
		h.appendAttr(&b, "", attr)
	}
	r.Attrs(func(attr slog.Attr) bool {
		h.appendAttr(&b, h.group, attr)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b.Bytes())
	return err
}

func (h *lineHandler) appendAttr(b *bytes.Buffer, group string, attr slog.Attr) {
	v := attr.Value.Resolve()
	switch {
	case attr.Equal(slog.Attr{}):
		return
	case v.Kind() == slog.KindGroup:
		if attr.Key != "" {
			group += attr.Key + "."
		}
		for _, inner := range v.Group() {
			h.appendAttr(b, group, inner)
		}
		return
	}
	key := group + attr.Key + "="
	if !h.journal {
		key = h.paint(dim, key)
	}
	b.WriteString(" " + key + quoteIfNeeded(v.String()))
}

// quoteIfNeeded keeps one event on one line, and one value one word.
func quoteIfNeeded(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// priority is the number that the journal sorts by (sd-daemon(3)).
func priority(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	case level >= slog.LevelInfo:
		return 6
	}
	return 7
}

func levelName(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "error"
	case level >= slog.LevelWarn:
		return "warn "
	case level >= slog.LevelInfo:
		return "info "
	}
	return "debug"
}

func levelColor(level slog.Level) color {
	switch {
	case level >= slog.LevelError:
		return red
	case level >= slog.LevelWarn:
		return yellow
	case level >= slog.LevelInfo:
		return green
	}
	return blue
}

// monotonic returns the clock that systemd measures a reload by
// (sd_notify(3), MONOTONIC_USEC=).
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // cannot happen: the clock exists since Linux 2.6
	}
	return t.Nano() / int64(time.Microsecond)
}
