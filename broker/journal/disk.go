package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// What callers branch on.
var (
	// ErrFull says that there is no room for another message.
	ErrFull = errors.New("the journal is full")

	// ErrUnavailable says that the disk does not take anything now.
	ErrUnavailable = errors.New("the journal is not available")

	// ErrGone says that there is no record at a place any more.
	ErrGone = errors.New("the record is not in the journal any more")

	// ErrUnreadable says that there is a store, and nothing in it can be read.
	ErrUnreadable = errors.New("the store cannot be read")

	// ErrClosed says that the journal does not run.
	ErrClosed = errors.New("the journal is closed")
)

// Options are the limits of a Disk. Zero values are replaced by defaults.
type Options struct {
	SegmentBytes int64 // of a segment file; 16 MiB
	MinBytes     int64 // of all segments, before anything is cleaned; 64 MiB
	MaxBytes     int64 // of all segments, beyond which there are no more messages; none
	ReserveBytes int64 // of the file system, which are left to others; none
	PendingBytes int64 // in memory and not on disk yet, beyond which there are no more messages; 64 MiB

	// Alarm is called after each change of the state of the journal, in the
	// journal's own goroutine and one call at a time; err is why. It may take
	// its time: states that pass meanwhile are left out.
	Alarm func(s State, err error)
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 16 << 20
	}
	o.SegmentBytes = min(max(o.SegmentBytes, minSegment), maxSegment) &^ (block - 1)
	if o.MinBytes == 0 {
		o.MinBytes = 64 << 20
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = math.MaxInt64 / 2
	}
	if o.PendingBytes == 0 {
		o.PendingBytes = 64 << 20
	}
	if o.Alarm == nil {
		o.Alarm = func(State, error) {}
	}
	return o
}

type phase byte

const (
	opened phase = iota
	replayed
	started
	closed
)

// A Disk is a Journal in files: a log of records in segments, written with one
// flush for all records that came during the last one. Open, Replay and Start
// come in this order, then everything else.
//
// Its goroutines are the committer, which writes; the preparer, which has empty
// segment files ready; the cleaner, which frees old ones; and the one that
// calls Options.Alarm. None of them holds mu while it reads or writes or calls
// anybody, so Append never waits for the disk.
type Disk struct {
	fs   FS
	opts Options
	log  *slog.Logger

	// These are for Open, Replay and Start only.
	phase    phase
	labels   []label    // of segments
	unproven []*segment // hold records that may not be safe yet
	debris   []string   // files whose making was cut short
	ruins    []string   // files in which nothing can be read
	flaws    []Flaw

	keep  func(*Record)
	watch func()

	committed atomic.Uint64 // Ticket

	mu       sync.Mutex
	count    Stats
	past     ledger    // of the processes before this one
	changed  sync.Cond // committed, failing or closing
	closing  bool
	segments []*segment // the log, oldest first; numbers have no gaps
	tail     *segment   // the newest, which is written to; nil: none yet
	unbound  int        // segments without a file yet
	used     int64      // bytes of segments
	spare    []*slot    // files that are free
	junk     []string   // files that must be removed before others are made
	names    int        // the highest number in a name
	number   uint64     // of the newest label
	sequence uint64     // of the newest record
	safe     uint64     // the newest sequence that is committed
	horizon  uint64     // of the newest horizon record that is committed
	ticket   Ticket     // the newest
	open     *batch     // takes records
	flight   *batch     // is being written; nil
	resting  *batch     // is used next
	marked   bool       // a mark follows the newest record
	rested   time.Time  // when the last batch was written
	failing  error      // why the disk does not take anything; nil: it does
	noSpace  bool       // no more files may be made
	full     bool       // a message was refused since there was room for one
	cleaner  cleaner
	alarm    alarm

	wake   chan struct{} // the committer
	tidy   chan struct{} // the cleaner
	stock  chan struct{} // the preparer
	stop   chan struct{} // closed by Close
	giveUp chan struct{} // closed when Close waits no longer
	wait   sync.WaitGroup
}

var _ Journal = (*Disk)(nil)

// Open looks at the store in fs, and changes nothing. Permission to read it is
// an error; damage is not, unless nothing can be read: then it is ErrUnreadable,
// and SetAside makes room for a new store.
func Open(fs FS, o Options, log *slog.Logger) (*Disk, error) {
	d := &Disk{
		fs: fs, opts: o.withDefaults(), log: log, watch: func() {},
		open: new(batch), resting: new(batch), wake: make(chan struct{}, 1), tidy: make(chan struct{}, 1),
		stock: make(chan struct{}, 1), stop: make(chan struct{}), giveUp: make(chan struct{}),
	}
	d.changed.L = &d.mu
	d.alarm.ring = make(chan struct{}, 1)
	if err := d.inspect(); err != nil {
		d.closeFiles()
		return nil, err
	}
	return d, nil
}

// Start makes the journal take records. keep is called by the cleaner for each
// old record that may still be needed, with a record that is valid until keep
// returns, but for strings. If r is still current, by r.Place, keep appends what
// is left of it: r itself, changed as needed, or another record with r.Place in
// its Place, which tells Append that it is an old one. It looks and appends
// under the lock under which other records of that session or topic are
// appended, so that no record comes between.
func (d *Disk) Start(keep func(r *Record)) error {
	if d.phase != replayed {
		return errors.New("start the journal: it must be replayed first, and once")
	}
	// What was read may be in the page cache only, if the last process was
	// killed. From now on people are told that it is safe.
	for _, s := range d.unproven {
		if err := s.extents[0].slot.file.Sync(); err != nil {
			return fmt.Errorf("start the journal: %w", err)
		}
	}
	if err := d.sweep(); err != nil {
		return fmt.Errorf("start the journal: %w", err)
	}
	room := d.roomFor(d.opts.SegmentBytes)
	d.mu.Lock()
	d.keep, d.phase, d.noSpace = keep, started, !room
	d.cleaner.credit = 4 * d.opts.SegmentBytes
	d.mu.Unlock()
	for _, f := range []func(){d.runCommitter, d.runPreparer, d.runCleaner, d.runAlarm} {
		d.wait.Go(f)
	}
	d.nudge(d.stock)
	d.nudge(d.tidy)
	return nil
}

// sweep removes files that were never finished, and renames those that nothing
// can be read from.
func (d *Disk) sweep() error {
	for _, name := range d.debris {
		if err := d.fs.Remove(name); err != nil {
			return err
		}
	}
	for _, name := range d.ruins {
		if err := d.fs.Rename(name, aside(name)); err != nil {
			return err
		}
	}
	// That a file is there may be in memory only, too.
	return d.fs.SyncDir()
}

// Watch implements Journal.
func (d *Disk) Watch(f func()) { d.watch = f }

// Committed implements Journal.
func (d *Disk) Committed() Ticket { return Ticket(d.committed.Load()) }

// Close commits what was appended, and ends the journal. If ctx ends first, it
// says so and returns; a system call that hangs is left behind.
func (d *Disk) Close(ctx context.Context) error {
	d.mu.Lock()
	running := d.phase == started && !d.closing
	d.closing = true
	d.changed.Broadcast()
	d.mu.Unlock()
	if !running {
		d.closeFiles()
		return nil
	}
	close(d.stop)
	done := make(chan struct{})
	go func() {
		d.wait.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		close(d.giveUp)
		err = fmt.Errorf("close the journal: %w", ctx.Err())
		select {
		case <-done:
		default:
			return err // The files stay open: somebody writes.
		}
	}
	d.closeFiles()
	return errors.Join(err, d.leftover())
}

// leftover says what Close could not commit.
func (d *Disk) leftover() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Committed() == d.ticket {
		return nil
	}
	return fmt.Errorf("close the journal: the last %d records are not safe: %w", uint64(d.ticket-d.Committed()), d.failing)
}

func (d *Disk) closeFiles() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.segments {
		for _, e := range s.extents {
			_ = e.slot.file.Close()
		}
	}
	for _, s := range d.spare {
		_ = s.file.Close()
	}
	d.segments, d.spare, d.phase = nil, nil, closed
}

// nudge wakes one of the journal's goroutines.
func (*Disk) nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
