package journal

import (
	"encoding/binary"
	"time"
)

// keptWithin is how long the commit of what the cleaner moves may wait.
const keptWithin = time.Second

// cleanBytes is how much the cleaner moves before it waits for a commit, so that
// others need not wait for its bytes. It is more where batches are larger, or
// the cleaner would fall behind the traffic.
const cleanBytes = 256 << 10

// cleanFactor is how many bytes the cleaner may write for each byte of traffic,
// and bounds the wear of a journal that is nearly full.
const cleanFactor = 4

// fullProbe is how often a full journal looks for room when nothing is appended:
// one small record can have made much of it useless.
const fullProbe = time.Minute

// A cleaner frees the oldest segment, after what is still needed in it was
// appended to the end of the log. The lock of the Disk guards it.
//
// It is always the oldest one. Whatever says that a record is not needed any
// more (Acknowledged, Received, Released, Unsubscribed, SessionEnded,
// WillCleared, or a newer record for the same thing) stands behind all copies
// of that record: the last copy was made while it was still current, under
// the lock of its owner, and so before. When such a record is in the oldest
// segment, what it is about is before it there, or gone; keep drops that, or
// appends what is left of it: Received goes on as Target.Released, and Released
// as the absence of an Owned. So they need not be kept, and are not.
//
// A segment is free when the records that were moved are safe, and behind them a
// horizon record, which says that nothing before the next segment is
// needed. The label of the file is left as it is until the file is used again.
type cleaner struct {
	number  uint32    // of the segment that is being cleaned, in places; 0 is none
	kept    int64     // bytes appended for it
	waited  int64     // kept, when a commit was waited for
	traffic int64     // bytes appended by others and not settled yet
	since   int64     // bytes appended by others since a segment was cleaned
	credit  int64     // bytes that may be moved
	missed  uint64    // records that the journal should have taken and did not
	batch   int       // bytes of the last batch
	shares  []float64 // of the last segments, that were still needed
	live    int64     // estimate of the bytes that are needed
}

// shareOf is how many segments the estimate of what is needed rests on.
const shareOf = 4

// runCleaner frees segments until the journal is closed.
func (d *Disk) runCleaner() {
	dec := new(decoder)
	timer := time.NewTimer(fullProbe)
	defer timer.Stop()
	for {
		select {
		case <-d.tidy:
		case <-timer.C:
			d.probe()
		case <-d.stop:
			return
		}
		for more := true; more; {
			more = d.wantsCleaning() && d.clean(dec)
		}
		timer.Reset(fullProbe)
	}
}

// probe lets the cleaner look at one segment of a full journal.
func (d *Disk) probe() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		d.cleaner.credit = max(d.cleaner.credit, 1)
	}
}

// wantsCleaning reports whether the oldest segment should be cleaned now.
func (d *Disk) wantsCleaning() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &d.cleaner
	c.settle(d.opts.SegmentBytes)
	size := d.opts.SegmentBytes
	tight := d.used+2*size > d.opts.MaxBytes || d.noSpace && len(d.spare) < reserveFiles
	switch {
	case d.closing || d.failing != nil || len(d.segments) < 2 || d.segments[0] == d.tail:
		return false
	case tight && c.credit > 0:
		return true
	case d.used <= d.opts.MinBytes:
		return false
	case d.used > 3*c.live && c.credit > 0:
		return true
	}
	// Now and then, to learn how much is still needed.
	return c.since >= max(d.used/4, size)
}

// settle turns traffic into credit, within reason.
func (c *cleaner) settle(size int64) {
	c.since += c.traffic
	c.credit = min(max(c.credit, -size)+cleanFactor*c.traffic, 64*size)
	c.traffic = 0
}

// clean frees the oldest segment. It returns false if that is not possible now.
func (d *Disk) clean(dec *decoder) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, s, limit := &d.cleaner, d.segments[0], d.segments[1].first
	missed := c.missed
	c.number, c.kept, c.waited = s.number, 0, 0
	defer func() { c.number = 0 }()
	if !d.await(limit - 1) { // The last records of s may not be written yet.
		return false
	}
	d.mu.Unlock()
	done := d.moveAll(s, limit, dec)
	d.mu.Lock()
	if !done || c.missed != missed || !d.pushHorizon(limit) || !d.await(d.sequence) {
		return false
	}
	c.learn(s, d.used)
	d.count.Kept += c.kept
	d.free(s)
	return true
}

// await waits until the record with a sequence is safe, and hurries. It returns
// false if the disk fails or the journal is closed. The caller holds mu.
func (d *Disk) await(sequence uint64) bool {
	for d.safe < sequence && d.failing == nil && !d.closing {
		if !d.open.empty() && !d.open.now {
			d.open.now = true
			d.nudge(d.wake)
		}
		d.changed.Wait()
	}
	return d.safe >= sequence
}

// moveAll calls keep for the records of s that may be needed.
func (d *Disk) moveAll(s *segment, limit uint64, dec *decoder) bool {
	next, records := s.first, uint64(0)
	for i := range s.extents {
		sc := s.extents[i].scan(s.until(i), next, limit)
		for f, ok := sc.record(); ok; f, ok = sc.record() {
			if f.kind != mark {
				records++
			}
			if !d.move(s, f, dec) {
				return false
			}
		}
		next = sc.next
	}
	d.damaged(s, records, limit)
	return true
}

// damaged notes that s has fewer records than it had.
func (d *Disk) damaged(s *segment, records, limit uint64) {
	had := s.intact
	if !s.replayed {
		had = limit - s.first
	}
	if records >= had {
		return
	}
	d.mu.Lock()
	d.count.Damaged += had - records
	d.mu.Unlock()
	d.log.Error("records of the journal are damaged", "file", s.extents[0].slot.name, "records", had-records)
}

// move has what is left of a record appended. It returns false when the cleaner
// must stop.
func (d *Disk) move(s *segment, f found, dec *decoder) bool {
	switch f.kind {
	case SessionBegun, Subscribed, Published, Owned, WillSet, ClockRead:
	default:
		return true
	}
	r, err := dec.decode(f.kind, f.body)
	if err != nil {
		return true // As Replay does.
	}
	r.Place, r.Within = placeAt(s.number, uint32(f.offset)), keptWithin
	d.keep(r)
	return d.breathe()
}

// breathe waits for a commit if the cleaner has moved much since the last one.
func (d *Disk) breathe() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing || d.failing != nil {
		return false
	}
	if c := &d.cleaner; c.kept-c.waited >= int64(max(cleanBytes, c.batch)) {
		c.waited = c.kept
		return d.await(d.sequence)
	}
	return true
}

// pushHorizon appends a horizon record. The caller holds mu.
func (d *Disk) pushHorizon(first uint64) bool {
	f := binary.AppendUvarint(beginFrame(nil, 0, horizon), first)
	setLength(f)
	if d.admits(&Record{Kind: horizon}, len(f), true) != nil {
		return false
	}
	d.push(f, horizon)
	d.ticket++
	d.open.ticket = d.ticket
	return true
}

// learn improves the estimate of what is needed by what was in s.
func (c *cleaner) learn(s *segment, used int64) {
	size := max(1, int64(s.end)-labelArea)
	c.shares = append(c.shares, min(1, float64(c.kept)/float64(size)))
	c.shares = c.shares[max(0, len(c.shares)-shareOf):]
	var sum float64
	for _, share := range c.shares {
		sum += share
	}
	c.live = int64(sum / float64(len(c.shares)) * float64(used))
	c.credit -= c.kept
	c.since = 0
}

// free takes the oldest segment, s, out of the log. The caller holds mu.
func (d *Disk) free(s *segment) {
	d.segments = d.segments[1:]
	d.used -= s.size
	d.count.Cleaned++
	s.freed = true
	if s.readers > 0 {
		return // The last of them releases it.
	}
	d.mu.Unlock()
	d.release(s)
	d.mu.Lock()
}
