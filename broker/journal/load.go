package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// loaders read records for Load; most fit into what each has.
var loaders = sync.Pool{New: func() any { return &loader{buf: make([]byte, block)} }}

type loader struct {
	buf []byte
	dec decoder
}

// Load implements Journal. It costs one read of the disk, or two where the
// record is larger than 4 KiB.
func (d *Disk) Load(p Place) (*Message, error) {
	l := loaders.Get().(*loader)
	defer loaders.Put(l)
	d.mu.Lock()
	s := d.segmentAt(p)
	if s == nil {
		d.mu.Unlock()
		return nil, ErrGone
	}
	for _, b := range []*batch{d.flight, d.open} {
		if f := b.at(p); f != nil {
			defer d.mu.Unlock()
			return l.message(kindOf(f), f[frameHead:], p)
		}
	}
	e := s.at(p.offset())
	if e == nil || p.offset() >= s.end {
		d.mu.Unlock()
		return nil, ErrGone
	}
	file, id := e.slot.file, e.id
	s.readers++
	d.mu.Unlock()
	defer d.unpin(s)
	f, err := l.read(file, id, p)
	if err != nil {
		d.mu.Lock()
		d.count.Damaged += bit[uint64](errors.Is(err, errDamaged), 1)
		d.mu.Unlock()
		return nil, fmt.Errorf("load a message from %s: %w", e.slot.name, err)
	}
	return l.message(kindOf(f), f[frameHead:], p)
}

// segmentAt returns the segment of a place, or nil. The caller holds mu.
func (d *Disk) segmentAt(p Place) *segment {
	if len(d.segments) == 0 {
		return nil
	}
	i := int64(p.number()) - int64(d.segments[0].number)
	if i < 0 || i >= int64(len(d.segments)) {
		return nil
	}
	return d.segments[i]
}

// unpin says that a Load of s is done.
func (d *Disk) unpin(s *segment) {
	d.mu.Lock()
	s.readers--
	last := s.freed && s.readers == 0
	d.mu.Unlock()
	if last {
		d.release(s)
	}
}

// read returns the frame at p in f, which must be intact.
func (l *loader) read(f File, id uint32, p Place) ([]byte, error) {
	off := int64(p.offset())
	n, err := f.ReadAt(l.buf, off)
	if n < frameHead {
		return nil, shortened(err)
	}
	h := parseHead(l.buf)
	if h.id != id || !h.plausible(maxSegment-off) {
		return nil, errDamaged
	}
	b := l.buf[:n]
	if h.size() > int64(n) {
		b = make([]byte, h.size())
		if m, err := f.ReadAt(b[copy(b, l.buf[:n]):], off+int64(n)); n+m < len(b) {
			return nil, shortened(err)
		}
	}
	if b = b[:h.size()]; !intact(b) {
		return nil, errDamaged
	}
	return b, nil
}

// shortened is the error of a read that gave too little: the end of a file is
// damage, another error may pass.
func shortened(err error) error {
	if errors.Is(err, io.EOF) {
		return errDamaged
	}
	return err
}

var errDamaged = fmt.Errorf("the record is damaged: %w", ErrGone)

// message decodes a body and returns a message that nobody else has.
func (l *loader) message(kind Kind, body []byte, p Place) (*Message, error) {
	r, err := l.dec.decode(kind, body)
	if err != nil || r.Message == nil {
		return nil, fmt.Errorf("%w: there is no message at %x", ErrGone, uint64(p))
	}
	return r.Message.clone(), nil
}

func (m *Message) clone() *Message {
	c := *m
	c.Payload = bytes.Clone(m.Payload)
	if m.Props != nil {
		p := *m.Props
		p.CorrelationData = bytes.Clone(p.CorrelationData)
		p.User = slices.Clone(p.User)
		c.Props = &p
	}
	return &c
}
