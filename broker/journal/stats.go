package journal

import "time"

// Stats are counts since Open, and what is there now.
type Stats struct {
	State    State
	Segments int
	Spare    int   // segment files that are ready
	Bytes    int64 // of segments; spare files are not in it
	Live     int64 // of Bytes, an estimate of what is still needed
	Pending  int64 // bytes in memory that are not safe yet

	// Records by Kind: what was appended, and what of it went into the log:
	// of retained messages within one window, only the last does.
	Appended [256]Tally
	Written  [256]Tally

	Disk     int64 // bytes written, with labels and the making of files
	Blocks   int64 // the same in whole blocks of 4 KiB: a disk is given no less
	Kept     int64 // of Appended, bytes of old records that the cleaner moved
	Cleaned  int   // segments freed
	Refused  uint64
	Behind   uint64 // of Refused, since the disk did not keep up
	Damaged  uint64 // records lost by damage
	Failures uint64 // writes and flushes that the disk refused

	Flushes    uint64
	FlushTime  time.Duration // in all
	FlushMax   time.Duration
	FlushUnder [len(flushBounds) + 1]uint64 // flushes by their time, see FlushBounds

	Life Life // since the store was made
}

// A Tally counts records.
type Tally struct {
	Records uint64
	Bytes   uint64
}

func (t *Tally) add(n int) {
	t.Records++
	t.Bytes += uint64(n)
}

var flushBounds = [...]time.Duration{
	time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond,
	100 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second,
}

// FlushBounds returns the upper bounds of Stats.FlushUnder, but for the last
// one, which has none.
func FlushBounds() []time.Duration { return flushBounds[:] }

func (s *Stats) flushed(d time.Duration) {
	s.Flushes++
	s.FlushTime += d
	s.FlushMax = max(s.FlushMax, d)
	i := 0
	for i < len(flushBounds) && d > flushBounds[i] {
		i++
	}
	s.FlushUnder[i]++
}

// Stats returns what the journal counts.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.count
	s.State = d.alarm.state
	s.Segments, s.Spare, s.Bytes = len(d.segments), len(d.spare), d.used
	s.Live, s.Pending = d.cleaner.live, d.pending()
	s.Life = d.balance(time.Now()).life()
	return s
}
