package journal

import (
	"time"
)

// The committer waits this long after a failure before it tries again, twice as
// long each time.
const (
	retryFirst = time.Second
	retryMax   = 30 * time.Second
)

// restAfter is how long nothing must be appended before the newest batch gets a
// mark behind it. See mark.
const restAfter = 5 * time.Second

// runCommitter writes batches until the journal is closed.
func (d *Disk) runCommitter() {
	for {
		b, ok := d.next()
		switch {
		case !ok:
			return
		case b == nil:
			d.mark(false)
		case !d.commit(b):
			return
		default:
			d.watch()
		}
	}
}

// next waits until there is a batch to write, and returns it; nil asks for a
// mark. ok is false when the journal is closed and nothing is left.
func (d *Disk) next() (b *batch, ok bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d.mu.Lock()
		b, wait := d.due(time.Now())
		done := d.closing && d.open.empty()
		d.mu.Unlock()
		switch {
		case b != nil:
			return b, true
		case done:
			d.mark(true)
			return nil, false
		case wait < 0:
			return nil, true
		}
		timer.Reset(wait)
		select {
		case <-d.wake:
		case <-d.stop:
		case <-timer.C:
		}
	}
}

// due returns the open batch if it must be written now, and otherwise how long
// it need not. A negative wait asks for a mark.
func (d *Disk) due(now time.Time) (b *batch, wait time.Duration) {
	if d.open.empty() {
		switch {
		case d.marked || d.tail == nil:
			return nil, time.Hour
		case now.Sub(d.rested) < restAfter:
			return nil, restAfter - now.Sub(d.rested)
		}
		return nil, -1
	}
	if b = d.open; !b.now && !d.closing && now.Before(b.due) {
		return nil, b.due.Sub(now)
	}
	d.flight, d.open, d.resting = b, d.resting, nil
	d.marked = false
	return b, 0
}

// Hurry implements Journal.
func (d *Disk) Hurry() {
	d.mu.Lock()
	if !d.open.empty() && !d.open.now {
		d.open.now = true
		d.nudge(d.wake)
	}
	d.mu.Unlock()
}

// commit makes b safe, however often the disk refuses. It returns false if the
// journal is closed and waits no longer.
func (d *Disk) commit(b *batch) bool {
	err := d.write(b)
	for wait := time.Duration(0); err != nil; wait = min(max(2*wait, retryFirst), retryMax) {
		d.fail(err)
		if !d.pause(wait) {
			return false
		}
		err = d.failOver(b)
	}
	d.mu.Lock()
	d.failing = nil
	d.notice()
	d.committed.Store(uint64(b.ticket))
	d.safe, d.horizon = b.last, max(d.horizon, b.horizon)
	d.cleaner.batch = b.bytes
	d.rested = time.Now()
	d.flight = nil
	b.reset()
	d.resting = b
	d.changed.Broadcast()
	d.mu.Unlock()
	return true
}

func (d *Disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = err
	d.count.Failures++
	d.notice()
	d.changed.Broadcast()
}

// pause waits, unless the journal is closed for good meanwhile.
func (d *Disk) pause(wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-d.giveUp:
		return false
	}
}

// write puts b on the disk.
func (d *Disk) write(b *batch) error {
	start := time.Now()
	for i := range b.chunks {
		c := &b.chunks[i]
		d.mu.Lock()
		e := c.seg.at(c.offset)
		d.mu.Unlock()
		if e == nil {
			if err := d.bind(c); err != nil {
				return err
			}
		}
		if err := d.writeChunk(b, c); err != nil {
			return err
		}
	}
	return d.flush(b, start)
}

// writeChunk seals the frames of c and writes them.
func (d *Disk) writeChunk(b *batch, c *chunk) error {
	e := c.seg.at(c.offset) // Only this goroutine changes extents.
	for f := c.buf; len(f) > 0; {
		f = seal(f, e.id, b.first-1)
	}
	_, err := e.slot.file.WriteAt(c.buf, int64(c.offset))
	return err
}

func (d *Disk) flush(b *batch, start time.Time) error {
	for i := range b.chunks {
		c := &b.chunks[i]
		if err := c.seg.at(c.offset).slot.file.Sync(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.count.flushed(time.Since(start))
	d.count.Disk += int64(b.bytes)
	d.count.Blocks += b.blocks()
	d.mu.Unlock()
	return nil
}

// bind gives the segment of c a file from the offset of c on.
func (d *Disk) bind(c *chunk) error {
	s, err := d.takeSlot(c.seg.size)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.number++
	l := label{
		id: newID(), number: d.number, first: sequenceOf(c.buf), safe: d.safe, horizon: d.horizon, start: c.offset,
		ledger: d.balanceAt(c, time.Now()),
	}
	d.mu.Unlock()
	if _, err := s.file.WriteAt(l.area(), 0); err != nil {
		d.discard(s)
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count.Disk += labelArea
	d.count.Blocks += block
	if len(c.seg.extents) == 0 {
		d.unbound--
	}
	c.seg.extents = append(c.seg.extents, extent{from: c.offset, slot: s, id: l.id})
	return nil
}

// failOver writes b to other files, after an error of its own: what a file has
// of b is unknown, and after an error of fdatasync the kernel takes pages for
// written that are not. What was committed before stays where it is.
func (d *Disk) failOver(b *batch) error {
	for i := range b.chunks {
		c := &b.chunks[i]
		d.abandon(c)
		if err := d.bind(c); err != nil {
			return err
		}
	}
	return d.write(b)
}

// abandon takes from c the file that it should have gone to.
func (d *Disk) abandon(c *chunk) {
	d.mu.Lock()
	e := c.seg.at(c.offset)
	if e == nil {
		d.mu.Unlock()
		return
	}
	s := e.slot
	s.bad = true
	n := len(c.seg.extents)
	empty := e.from == c.offset
	if empty {
		if c.seg.extents = c.seg.extents[:n-1]; n == 1 {
			d.unbound++
		}
	}
	d.mu.Unlock()
	if empty {
		d.discard(s)
	}
}

// mark writes behind the newest record that it is safe. Until something follows
// a batch, nothing on disk says whether its flush was done, and what is lost in
// it by damage looks like the end of the log. A mark is not flushed by itself,
// since nothing depends on it, unless it is the last thing.
func (d *Disk) mark(last bool) {
	d.mu.Lock()
	t := d.tail
	if d.marked || t == nil || t.at(t.end) == nil || int64(t.end)+markSize > t.size {
		d.marked = true
		d.mu.Unlock()
		return
	}
	e, at := *t.at(t.end), t.end
	t.end += markSize
	d.count.Blocks += block
	d.marked = true
	f := append(beginFrame(nil, d.safe, mark), 0)
	d.mu.Unlock()
	setLength(f)
	seal(f, e.id, sequenceOf(f))
	if _, err := e.slot.file.WriteAt(f, int64(at)); err != nil {
		d.log.Warn("the journal could not be marked", "error", err)
	} else if last {
		_ = e.slot.file.Sync() // The mark helps only after damage.
	}
}
