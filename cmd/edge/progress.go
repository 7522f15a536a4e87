package main

import (
	"fmt"
	"strings"
	"time"
)

// A progress is a bar on the terminal that grows with what is written to it.
type progress struct {
	a           *app
	what        string
	total, done int64
	shown       time.Time
	on          bool
}

// progressPause keeps the bar from costing more than the work.
const progressPause = 100 * time.Millisecond

// progress returns a bar for total bytes. It draws only on a terminal.
func (a *app) progress(what string, total int64) *progress {
	return &progress{a: a, what: what, total: max(total, 1), on: isTerminal(a.err)}
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	p.done = min(p.done+int64(len(b)), p.total)
	if now := time.Now(); p.on && now.Sub(p.shown) >= progressPause {
		p.shown = now
		fmt.Fprint(p.a.err, "\r"+p.line())
	}
	return len(b), nil
}

func (p *progress) line() string {
	full := int(p.done * barWidth / p.total)
	return fmt.Sprintf("%s %s%s %3d %% of %s", p.what, p.a.paint(p.a.err, green, strings.Repeat("█", full)),
		p.a.paint(p.a.err, dim, strings.Repeat("░", barWidth-full)), p.done*100/p.total, byteText(p.total))
}

// end wipes the bar away.
func (p *progress) end() {
	if !p.shown.IsZero() {
		fmt.Fprint(p.a.err, "\r\x1b[K")
	}
}
