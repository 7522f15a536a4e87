package journal

import (
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
)

// AwaitTidy waits until the cleaner has nothing to do.
func (d *Disk) AwaitTidy() {
	for {
		wants := d.wantsCleaning()
		d.mu.Lock()
		busy := d.cleaner.number != 0
		d.mu.Unlock()
		if !wants && !busy {
			return
		}
		runtime.Gosched()
	}
}

// Dump says what is in a store, for the failures of tests.
func Dump(fs FS) string {
	var b strings.Builder
	d := &Disk{fs: fs, opts: Options{}.withDefaults(), log: slog.New(slog.DiscardHandler)}
	names, _ := fs.List()
	for _, name := range names {
		f, err := fs.Open(name)
		if err != nil {
			continue
		}
		size, _ := f.Size()
		s := &slot{name: name, size: size, file: f}
		l, err := s.label()
		fmt.Fprintf(&b, "%s: %d bytes, %+v, %v\n", name, size, l, err)
		e := extent{from: l.start, slot: s, id: l.id}
		sc := e.scan(size, 1, math.MaxUint64)
		for r, ok := sc.record(); ok && l.id != 0; r, ok = sc.record() {
			fmt.Fprintf(&b, "  %d: kind %d, sequence %d, back %d, %d bytes\n", r.offset, r.kind, r.sequence, r.back, r.length)
		}
	}
	if err := d.inspect(); err == nil && len(d.segments) > 0 {
		fmt.Fprintf(&b, "%+v\n", d.survey())
	}
	return b.String()
}

// Decode reads the body of a record.
func Decode(kind Kind, body []byte) (*Record, error) { return new(decoder).decode(kind, body) }

// AppendBody writes one.
func AppendBody(b []byte, r *Record) []byte { return appendBody(b, r) }
