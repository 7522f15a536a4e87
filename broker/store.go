package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"edge/bridge"
	"edge/broker/delivery"
	"edge/broker/journal"
	"edge/internal/config"
	"edge/internal/topic"
)

// A Durability says how messages to some topics are kept.
type Durability struct {
	Filter string        `yaml:"filter" doc:"The topics; of several entries that match, the first counts."`
	Within time.Duration `yaml:"within" doc:"How long a message may wait to be written together with others: its acknowledgement waits as long, and the card is written less often. 0s is at once."`
	Never  bool          `yaml:"never" doc:"In memory only: such messages are acknowledged at once and do not survive the end of edge."`
}

// maxWithin bounds how long an acknowledgement may wait for others.
const maxWithin = time.Minute

func (d Durability) validate() error {
	var errs []error
	if err := topic.CheckFilter(d.Filter); err != nil {
		errs = append(errs, config.Errorf("filter", "%v", err))
	}
	if d.Within < 0 || d.Within > maxWithin {
		errs = append(errs, config.Errorf("within", "must be 0s to %v, not %v", maxWithin, d.Within))
	}
	if d.Never && d.Within > 0 {
		errs = append(errs, config.Errorf("never", "what is never written waits for nothing; drop within"))
	}
	return errors.Join(errs...)
}

// durability returns what c says about messages to a topic.
func (c *Config) durability(name string) (within time.Duration, keep bool) {
	i := slices.IndexFunc(c.Durability, func(d Durability) bool { return topic.Match(d.Filter, name) })
	if i < 0 {
		return 0, true
	}
	return c.Durability[i].Within, !c.Durability[i].Never
}

// segmentBytes is the size of a file of the journal: what is written in advance,
// and what is cleaned at once.
const segmentBytes = 4 << 20

// openStore opens the journal in the folder cfg.Dir and restores the sessions.
// Without a folder, everything is in memory.
func (b *Broker) openStore(opts delivery.Options) error {
	if b.cfg.Dir == "" {
		b.engine = delivery.New(journal.Memory{}, opts, b.log)
		return nil
	}
	disk, err := b.openDisk()
	if err != nil {
		return fmt.Errorf("open the journal in %s: %w", b.cfg.Dir, err)
	}
	b.disk = disk
	b.engine = delivery.New(disk, opts, b.log)
	report, err := disk.Replay(b.engine.Restore)
	if err != nil {
		return fmt.Errorf("read the journal in %s: %w", b.cfg.Dir, err)
	}
	b.engine.Restored()
	if err := disk.Start(b.engine.Keep); err != nil {
		return fmt.Errorf("write the journal in %s: %w", b.cfg.Dir, err)
	}
	if b.aside, err = journal.Aside(journal.OS(b.cfg.Dir)); err != nil {
		return fmt.Errorf("list the journal in %s: %w", b.cfg.Dir, err)
	}
	st := b.engine.Stats()
	b.log.Info("journal read", "records", report.Records, "lost", report.Lost, "bytes", report.Bytes,
		"sessions", st.Sessions, "queued", st.Queued+st.Inflight, "retained", st.Retained)
	return nil
}

// openDisk opens the journal. One that cannot be read is moved aside, not
// deleted.
func (b *Broker) openDisk() (*journal.Disk, error) {
	files := journal.OS(b.cfg.Dir)
	o := journal.Options{
		SegmentBytes: segmentBytes, MaxBytes: b.cfg.Limits.StoreBytes, ReserveBytes: b.cfg.Limits.StoreReserve,
		Alarm: b.alarm,
	}
	disk, err := journal.Open(files, o, b.log)
	if !errors.Is(err, journal.ErrUnreadable) {
		return disk, err
	}
	suffix, aside := journal.SetAside(files)
	if aside != nil {
		return nil, errors.Join(err, aside)
	}
	b.log.Error("the journal cannot be read; it was moved aside, and the broker starts empty",
		"dir", b.cfg.Dir, "files", "*"+suffix, "err", err)
	return journal.Open(files, o, b.log)
}

// tellAside says on a retained topic which files could not be read, as long as
// they lie beside the journal: an empty broker must not look like a lucky one.
func (b *Broker) tellAside() {
	if len(b.aside) == 0 {
		return
	}
	payload, _ := json.Marshal(b.aside) // Strings.
	m := bridge.Message{Topic: sysPrefix + "journal/aside", Payload: payload, Retain: true}
	if err := b.self.Publish(context.Background(), m); err != nil {
		b.log.Error("publish what could not be read of the journal", "err", err)
	}
}

// alarm tells at once that the journal takes no more, or that it does again.
func (b *Broker) alarm(s journal.State, _ error) {
	select {
	case <-b.ready:
	case <-b.done:
		return
	}
	m := bridge.Message{Topic: sysPrefix + "journal/state", Payload: []byte(s.String()), Retain: true}
	if err := b.self.Publish(context.Background(), m); err != nil && !errors.Is(err, errClosed) {
		b.log.Error("publish the state of the journal", "err", err)
	}
}

// closeStore commits everything.
func (b *Broker) closeStore(ctx context.Context) error {
	if b.disk == nil {
		return nil
	}
	return b.disk.Close(ctx)
}

// Snapshot returns what must survive as it is now; the caller closes it.
func (b *Broker) Snapshot() (*journal.Snapshot, error) {
	if b.disk == nil {
		return nil, errors.New("nothing is kept: there is no data directory")
	}
	return b.disk.Snapshot()
}

// sysJournal are the topics about the journal.
var sysJournal = []struct {
	name  string
	value func(*journal.Stats) uint64
}{
	{"journal/bytes", func(s *journal.Stats) uint64 { return uint64(s.Bytes) }},
	{"journal/written", func(s *journal.Stats) uint64 { return uint64(s.Disk) }},
	{"journal/flushes", func(s *journal.Stats) uint64 { return s.Flushes }},
	{"journal/refused", func(s *journal.Stats) uint64 { return s.Refused }},
	{"journal/damaged", func(s *journal.Stats) uint64 { return s.Damaged }},
}

// eachJournal calls f for the topics about the journal, until it returns an error.
func eachJournal(st *journal.Stats, f func(name, payload string) error) error {
	if st == nil {
		return nil
	}
	if err := f("journal/state", st.State.String()); err != nil {
		return err
	}
	for _, c := range sysJournal {
		if err := f(c.name, strconv.FormatUint(c.value(st), 10)); err != nil {
			return err
		}
	}
	return nil
}
