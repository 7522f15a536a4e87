package journal

import (
	"errors"
	"fmt"
)

// A Report says what Replay found.
type Report struct {
	Segments int
	Bytes    int64  // of segments
	Records  uint64 // intact records that were handed out

	// Lost is how many records were safe once and are not there any more.
	// Damages say where, Damages[0] first; there are at most maxDamages.
	Lost    uint64
	Damages []Damage

	// Unknown is how many intact records were left out because this version of
	// the program does not know what they say.
	Unknown uint64

	// Unfinished is how many intact records were left out because something
	// before them never reached the disk: nothing in that write was promised.
	Unfinished uint64

	// Life is what was written into the store, as far as it was counted.
	Life Life

	// Flaws are the files that are damaged in another way.
	Flaws []Flaw
}

// maxDamages bounds a Report.
const maxDamages = 1000

// A Damage is a place where records are lost.
type Damage struct {
	File   string // "" is a whole segment that is missing
	Offset int64
	Bytes  int64
	Lost   uint64 // records

	// What the first of them seems to have been, as far as it can be read.
	Kind    Kind
	Topic   string
	Clients []string
}

func (d Damage) String() string {
	if d.File == "" {
		return fmt.Sprintf("%d records of a segment that is missing", d.Lost)
	}
	return fmt.Sprintf("%d records in %s, in the %d bytes from %d", d.Lost, d.File, d.Bytes, d.Offset)
}

var errReplayed = errors.New("the journal was replayed already")

// Replay calls f for each intact record, in the order of the log. The record and
// all it points to are valid until f returns, but for strings. It is called
// once, before Start.
//
// Records of a session may come before its SessionBegun, and one target of a
// message twice, in two Published records: cleaning appends what is left of old
// records to the end of the log. What a session's records say about one thing
// keeps its order. The Sequence of a target, not the place in the log, gives the
// order of a session's messages.
func (d *Disk) Replay(f func(*Record)) (Report, error) {
	if d.phase != opened {
		return Report{}, errReplayed
	}
	d.phase = replayed
	p := replay{disk: d, deliver: f}
	if len(d.segments) > 0 {
		v := d.survey()
		d.drop(v.horizon)
		p.run(v)
		d.resumeAfter(v)
	}
	d.recall(&p.wear)
	p.report.Flaws, p.report.Life = d.flaws, d.past.life()
	p.report.Segments, p.report.Bytes = len(d.segments), d.used
	d.count.Damaged += p.report.Lost
	return p.report, nil
}

// drop takes segments that hold nothing but records before horizon out of the
// log.
func (d *Disk) drop(horizon uint64) {
	for len(d.segments) > 1 && d.segments[1].first <= horizon {
		d.spareSegment(d.segments[0])
		d.segments = d.segments[1:]
	}
}

// resumeAfter sets what new records follow. They go to a new segment: what is
// left of an unfinished write must not be taken for what follows them.
func (d *Disk) resumeAfter(v survey) {
	d.horizon = v.horizon
	d.sequence = max(v.end, v.proven)
	d.safe = d.sequence
	for n := len(d.segments); n > 0 && d.segments[n-1].first > d.sequence; n-- {
		d.spareSegment(d.segments[n-1])
		d.segments = d.segments[:n-1]
	}
	for i, s := range d.segments {
		last := i+1 == len(d.segments)
		if last || d.segments[i+1].first > v.proven+1 {
			d.unproven = append(d.unproven, s)
		}
	}
}

// A replay is one run of Replay.
type replay struct {
	disk    *Disk
	deliver func(*Record)
	report  Report
	dec     decoder
	wear    wear // of the newest segment
}

func (p *replay) run(v survey) {
	d := p.disk
	next := max(v.horizon, 1)
	for i, s := range d.segments {
		at := Damage{File: s.extents[0].slot.name}
		if s.first > next {
			// The segment before ends too early, or one between is not there.
			next = p.lost(p.endOf(i-1), next, min(s.first, v.proven+1))
		}
		d.scanSegment(i, next, func(f found) {
			s.intact += bit[uint64](f.kind != mark && f.sequence <= v.end, 1)
			if i+1 == len(d.segments) {
				p.wear.add(f)
			}
			at.Offset, at.Bytes = f.from, f.offset-f.from
			next = p.lost(at, next, min(f.after(), v.proven+1))
			switch {
			case f.sequence > v.end:
				p.report.Unfinished++
			case f.kind != mark && f.kind != horizon && f.sequence >= next:
				p.record(s, f)
			}
			if f.sequence <= v.end {
				next = max(next, f.sequence+1)
			}
			at.Offset = f.offset + f.size()
		})
		s.end = uint32(min(s.size, max(int64(s.end), at.Offset)))
	}
	p.lost(p.endOf(len(d.segments)-1), next, v.proven+1)
}

// endOf is where records are lost that came after the last one in segment i.
func (p *replay) endOf(i int) Damage {
	if i < 0 {
		return Damage{}
	}
	s := p.disk.segments[i]
	return Damage{File: s.extents[0].slot.name, Offset: int64(s.end), Bytes: s.size - int64(s.end)}
}

// lost notes that the records from sequence from up to sequence to, exclusive,
// are not there, and returns the next one that may be.
func (p *replay) lost(at Damage, from, to uint64) uint64 {
	if to <= from {
		return from
	}
	at.Lost = to - from
	p.report.Lost += at.Lost
	if len(p.report.Damages) < maxDamages {
		p.disk.recognize(&at)
		p.report.Damages = append(p.report.Damages, at)
		p.disk.log.Error("records of the journal are damaged", "file", at.File, "offset", at.Offset, "bytes", at.Bytes,
			"records", at.Lost)
	}
	return to
}

func (p *replay) record(s *segment, f found) {
	r, err := p.dec.decode(f.kind, f.body)
	if err != nil {
		p.report.Unknown++
		return
	}
	r.Place = placeAt(s.number, uint32(f.offset))
	p.report.Records++
	p.deliver(r)
}
