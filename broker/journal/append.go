package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

var errTooLarge = errors.New("the record is larger than the journal takes")

// buffers are for records that are encoded before their turn in the log comes.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Append implements Journal. It takes memory and time to copy the record, and
// waits for nobody but others that do the same. Published records get ErrFull
// at the limits of Options, ErrUnavailable while the disk fails or falls
// behind; Subscribed ones get ErrUnavailable while it fails. Others tell of what
// has happened already: they wait in memory, as many as Options.PendingBytes allow,
// until the disk is back, and so do the answers to clients that depend on them.
func (d *Disk) Append(r *Record) (Ticket, error) {
	buf := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= keptBuffer {
			buffers.Put(buf)
		}
	}()
	f := encode((*buf)[:0], r)
	*buf = f
	if len(f) > frameMax {
		return 0, fmt.Errorf("append %d bytes to the journal: %w", len(f), errTooLarge)
	}
	var now time.Time
	if r.Within > 0 {
		now = time.Now()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.add(r, f, now)
}

// encode appends the frame of r to b, without what is not known yet. Where a
// newer message may come to its place, there is some room for that.
func encode(b []byte, r *Record) []byte {
	b = appendBody(beginFrame(b, 0, r.Kind), r)
	if r.replaceable() {
		room := (len(b)+4+15)&^15 - len(b)
		b = append(b, make([]byte, room)...)
	}
	setLength(b)
	return b
}

// replaceable reports whether only the last one of such records on a topic need
// be written: nobody waits for each of them, but for the retained message.
func (r *Record) replaceable() bool {
	return r.Kind == Published && r.Within > 0 && r.PacketID == 0 && len(r.Targets) == 0 && r.Message != nil && r.Message.Retain
}

// add puts the frame f of r into the log. The caller holds mu.
func (d *Disk) add(r *Record, f []byte, now time.Time) (Ticket, error) {
	kept := d.cleaner.number != 0 && r.Place.number() == d.cleaner.number
	if err := d.admits(r, len(f), kept); err != nil {
		d.refused(r, err, kept)
		return 0, err
	}
	d.ticket++
	d.count.Appended[r.Kind].add(len(f))
	r.Place = d.enter(r, f)
	d.open.ticket = d.ticket
	if kept {
		d.cleaner.kept += int64(len(f))
	} else {
		d.cleaner.traffic += int64(len(f))
	}
	if d.open.within(r.Within, now) {
		d.nudge(d.wake)
	}
	return d.ticket, nil
}

// enter gives the frame of r its place: that of an older message on the topic
// that is not written yet, or the end of the log.
func (d *Disk) enter(r *Record, f []byte) Place {
	b := d.open
	if !r.replaceable() {
		if r.Message != nil && r.Message.Retain {
			delete(b.latest, r.Message.Topic) // What replaces r must come behind it.
		}
		return d.place(d.push(f, r.Kind))
	}
	if s, ok := b.latest[r.Message.Topic]; ok && s.to-s.from >= len(f) {
		old := b.chunks[s.chunk].buf[s.from:s.to]
		clear(old[frameHead+copy(old[frameHead:], f[frameHead:]):])
		return d.place(s)
	}
	s := d.push(f, r.Kind)
	if b.latest == nil {
		b.latest = make(map[string]spot)
	}
	b.latest[r.Message.Topic] = s
	return d.place(s)
}

func (d *Disk) place(s spot) Place {
	c := &d.open.chunks[s.chunk]
	return placeAt(c.seg.number, c.offset+uint32(s.from))
}

// push puts f at the end of the log, in a new segment if need be.
func (d *Disk) push(f []byte, kind Kind) spot {
	d.sequence++
	binary.LittleEndian.PutUint64(f[12:], d.sequence)
	b := d.open
	if len(b.chunks) == 0 {
		b.first = d.sequence
	}
	b.last = d.sequence
	t := d.tail
	if t == nil || int64(t.end)+int64(len(f)) > t.size {
		t = d.rotate(d.sizeFor(len(f)))
	}
	d.count.Written[kind].add(len(f))
	s := b.add(t, f)
	t.end += uint32(len(f))
	if kind == horizon {
		b.horizon = uvarint(f[frameHead:])
	}
	return s
}

// sizeFor returns the size of a new segment that begins with a frame of n bytes.
func (d *Disk) sizeFor(n int) int64 {
	return max(d.opts.SegmentBytes, (labelArea+int64(n)+block-1)&^(block-1))
}

// rotate begins a new segment. It gets its file when it is written.
func (d *Disk) rotate(size int64) *segment {
	s := &segment{number: 1, size: size, first: d.sequence, end: labelArea}
	if n := len(d.segments); n > 0 {
		s.number = d.segments[n-1].number + 1
	}
	d.segments, d.tail = append(d.segments, s), s
	d.used += size
	d.unbound++
	d.nudge(d.tidy)
	return s
}

// admits reports what keeps a record of n bytes from being appended; kept ones
// are moved by the cleaner.
func (d *Disk) admits(r *Record, n int, kept bool) error {
	switch {
	case d.closing || d.phase != started:
		return ErrClosed
	case d.failing != nil && (r.optional() || kept || d.pending() > d.opts.PendingBytes):
		return fmt.Errorf("%w: %w", ErrUnavailable, d.failing)
	case r.Kind == Published && !kept && d.pending() > d.opts.PendingBytes:
		d.count.Behind++
		return fmt.Errorf("%w: the disk does not keep up", ErrUnavailable)
	}
	if t := d.tail; t != nil && int64(t.end)+int64(n) <= t.size {
		return nil
	}
	return d.mayRotate(d.sizeFor(n), r.Kind == Published && !kept)
}

// optional reports whether what r tells of does not happen if r is refused.
func (r *Record) optional() bool { return r.Kind == Published || r.Kind == Subscribed }

// pending returns how many bytes wait to be written.
func (d *Disk) pending() int64 {
	n := int64(d.open.bytes)
	if d.flight != nil {
		n += int64(d.flight.bytes)
	}
	return n
}

// reserve is how many segments the journal may have beyond the limit, and how
// many files it has ready, for what makes room: the cleaner needs a
// segment before it frees one, and acknowledgements by clients are what lets it.
const (
	reserveSegments = 4
	reserveFiles    = 2
)

// spareFiles is how many files the journal keeps when it has enough. With as few as
// it must have ready, each segment that is begun before another is freed would cost
// a new file, filled with zeros, and each that is freed after that a file less: twice
// the bytes.
const spareFiles = reserveFiles + 6

// mayRotate reports whether there may be another segment. Messages leave some
// room to other records.
func (d *Disk) mayRotate(size int64, message bool) error {
	limit, files := d.opts.MaxBytes, reserveFiles
	if !message {
		limit, files = limit+reserveSegments*d.opts.SegmentBytes, 1
	}
	if d.used+size > limit || d.noSpace && (len(d.spare)-d.unbound < files || size > d.opts.SegmentBytes) {
		return ErrFull
	}
	return nil
}

// refused notes that a record was refused.
func (d *Disk) refused(r *Record, err error, kept bool) {
	d.count.Refused++
	if kept || r.Kind != Published {
		d.cleaner.missed++ // It cannot be had again.
	}
	if errors.Is(err, ErrFull) {
		d.full = true
		d.notice()
		if !kept { // The cleaner would find no more room for it now, and never rest.
			d.nudge(d.tidy)
		}
	}
}
