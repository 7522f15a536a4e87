package journal

import "time"

// A batch is what is written with one flush.
type batch struct {
	chunks  []chunk // in the order of the log
	bytes   int
	first   uint64 // sequences
	last    uint64
	ticket  Ticket // the newest of its records
	horizon uint64 // of a horizon record in it; 0 is none

	due time.Time // when it must be written
	now bool      // it must be written at once

	// latest says where the newest message of a topic is that may be replaced
	// by a newer one.
	latest map[string]spot
}

// A chunk is what a batch has for one segment.
type chunk struct {
	seg    *segment
	offset uint32 // of buf in the segment
	buf    []byte // whole frames
}

// A spot is a frame in a batch.
type spot struct{ chunk, from, to int }

// urgentBytes is how large a batch becomes before it is written without waiting
// for more.
const urgentBytes = 1 << 20

// keptBuffer is how much memory a batch keeps for its next use.
const keptBuffer = 4 << 20

func (b *batch) empty() bool { return b.ticket == 0 }

// reset empties b, and keeps its memory if that is not much.
func (b *batch) reset() {
	var buf []byte
	if len(b.chunks) > 0 && cap(b.chunks[0].buf) <= keptBuffer {
		buf = b.chunks[0].buf[:0]
	}
	clear(b.latest)
	clear(b.chunks)
	*b = batch{chunks: b.chunks[:0], latest: b.latest}
	if buf != nil {
		b.chunks = append(b.chunks, chunk{buf: buf})[:0]
	}
}

// add appends the frame f, which goes to the end of s, and returns where it is.
func (b *batch) add(s *segment, f []byte) spot {
	n := len(b.chunks)
	if n == 0 || b.chunks[n-1].seg != s {
		var buf []byte
		if n < cap(b.chunks) {
			buf = b.chunks[:n+1][n].buf // Of an earlier use, see reset.
		}
		b.chunks = append(b.chunks, chunk{seg: s, offset: s.end, buf: buf})
		n++
	}
	c := &b.chunks[n-1]
	from := len(c.buf)
	c.buf = append(c.buf, f...)
	b.bytes += len(f)
	return spot{chunk: n - 1, from: from, to: len(c.buf)}
}

// at returns the frame at a place, or nil.
func (b *batch) at(p Place) []byte {
	if b == nil {
		return nil
	}
	for i := range b.chunks {
		c := &b.chunks[i]
		at := int64(p.offset()) - int64(c.offset)
		if c.seg.number == p.number() && at >= 0 && at+frameHead < int64(len(c.buf)) {
			return frameAt(c.buf[at:])
		}
	}
	return nil
}

// within has the batch written after d at the latest. It reports whether that is
// earlier than before.
func (b *batch) within(d time.Duration, now time.Time) bool {
	if b.now {
		return false
	}
	if d <= 0 || b.bytes >= urgentBytes {
		b.now = true
		return true
	}
	if due := now.Add(d); b.due.IsZero() || due.Before(b.due) {
		b.due = due
		return true
	}
	return false
}
