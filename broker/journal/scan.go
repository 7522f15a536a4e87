package journal

import (
	"encoding/binary"
	"math"
)

// A scanner finds the intact records of a file, in order.
type scanner struct {
	w     window
	id    uint32
	pos   int64  // of the next record, if nothing is damaged
	next  uint64 // the lowest sequence that is still looked for
	limit uint64 // records from this sequence on are not part of the log

	// budget is how many bytes may still be checked in search of a record
	// behind damage. What looks like a record costs a checksum, and whoever
	// knew the id could make a file full of it.
	budget int64
}

// found is a record that a scanner found.
type found struct {
	head
	offset int64
	body   []byte // valid until the next one is looked for
	from   int64  // what lies between here and offset was skipped
}

// scan returns a scanner for the records of e from offset from to offset end
// with sequences from next up to limit, exclusive.
func (e *extent) scan(end int64, next, limit uint64) *scanner {
	return &scanner{
		w:  window{r: e.slot.file, end: min(end, e.slot.size)},
		id: e.id, pos: int64(e.from), next: next, limit: limit,
		budget: 4*end + 1<<20,
	}
}

// record returns the next record, and false when there is none. Marks are
// returned, too.
func (s *scanner) record() (found, bool) {
	from := s.pos
	for {
		f, ok := s.try(s.pos)
		switch {
		case ok && f.sequence >= s.limit:
			return found{}, false // A later file has this record, and what is behind it.
		case ok:
			f.from = from
			s.pos += f.size()
			if f.kind != mark && f.sequence < s.next {
				from = s.pos
				continue // Seen already.
			}
			s.next = max(s.next, f.sequence+1)
			return f, true
		case s.next >= s.limit:
			return found{}, false // All is found that can be here.
		}
		if s.pos = s.search(s.pos + 1); s.pos < 0 {
			s.pos = from
			return found{}, false
		}
	}
}

// try returns the record at off, if there is an intact one.
func (s *scanner) try(off int64) (found, bool) {
	b := s.w.at(off, frameHead)
	if len(b) < frameHead {
		return found{}, false
	}
	h := parseHead(b)
	if h.id != s.id || !h.plausible(s.w.end-off) {
		return found{}, false
	}
	b = s.w.at(off, h.size())
	if !intact(b) {
		s.budget -= h.size()
		return found{}, false
	}
	return found{head: h, offset: off, body: b[frameHead:]}, true
}

// search returns the first offset from off on where a record may be, or -1.
func (s *scanner) search(off int64) int64 {
	if s.budget < 0 {
		return -1
	}
	var id [4]byte
	binary.LittleEndian.PutUint32(id[:], s.id)
	if i := s.w.index(off+8, id[:]); i >= 0 {
		return i - 8
	}
	return -1
}

// salvage looks for records in a file whose label is lost. It returns what the
// label may have said, judging by the newest record, and false if there is no
// record.
func salvage(s *slot) (label, bool) {
	w := window{r: s.file, end: s.size}
	best, budget := label{}, 4*s.size+1<<20
	var newest uint64
	for off := int64(0); budget > 0; off++ {
		b := w.at(off, frameHead)
		if len(b) < frameHead {
			break
		}
		h := parseHead(b)
		if !h.plausible(s.size - off) {
			continue
		}
		budget -= h.size()
		if !intact(w.at(off, h.size())) {
			continue
		}
		if h.id != best.id && h.sequence > newest {
			best = label{id: h.id, first: h.sequence, start: uint32(off)}
		}
		newest = max(newest, h.sequence)
		off += h.size() - 1
	}
	return best, best.id != 0
}

// A gap is a run of sequences that are missing.
type gap struct{ from, to uint64 } // to is the first that is there

// A survey says how far the log can be trusted.
type survey struct {
	proven  uint64 // was safe, says something that is newer
	end     uint64 // the last record of the log
	horizon uint64 // records before it are not needed
}

// survey reads the end of the log, as far back as labels do not vouch for it.
//
// The last write may have been cut: any part of it may be there. Nothing in it
// was promised, and what is behind a hole in it must not be believed: one
// record may make sense only after the one that is missing. So the log ends
// where the first record is missing that no other says to have been safe.
func (d *Disk) survey() survey {
	var v survey
	for _, l := range d.labels {
		v.proven, v.horizon = max(v.proven, l.safe), max(v.horizon, l.horizon)
	}
	i := len(d.segments) - 1
	for i > 0 && d.segments[i].first > v.proven+1 {
		i--
	}
	var gaps []gap
	var horizons []found
	next := d.segments[i].first
	if i == 0 {
		next = max(1, v.horizon) // Segments may be missing before the first.
	}
	for ; i < len(d.segments); i++ {
		d.scanSegment(i, next, func(f found) {
			v.proven = max(v.proven, f.proves())
			if missing := (gap{next, f.after()}); f.sequence > next || f.kind == mark && f.sequence == next {
				gaps = append(gaps, missing)
			}
			if f.kind == horizon {
				horizons = append(horizons, found{head: f.head, offset: int64(uvarint(f.body))})
			}
			next = max(next, f.sequence+1)
		})
	}
	v.end = next - 1
	for _, g := range gaps {
		if g.to > v.proven+1 {
			v.end = g.from - 1
			break
		}
	}
	for _, h := range horizons {
		if h.sequence <= v.end {
			v.horizon = max(v.horizon, uint64(h.offset))
		}
	}
	return v
}

// after returns the first sequence that f shows to be there or safe.
func (f *found) after() uint64 {
	if f.kind == mark {
		return f.sequence + 1
	}
	return f.sequence
}

func uvarint(b []byte) uint64 {
	v, _ := binary.Uvarint(b)
	return v
}

// scanSegment calls visit for each record of the segment with index i, from the
// sequence next on.
func (d *Disk) scanSegment(i int, next uint64, visit func(found)) {
	limit := uint64(math.MaxUint64)
	if i+1 < len(d.segments) {
		limit = d.segments[i+1].first
	}
	s := d.segments[i]
	for j := range s.extents {
		sc := s.extents[j].scan(s.until(j), next, limit)
		for f, ok := sc.record(); ok; f, ok = sc.record() {
			visit(f)
		}
		next = sc.next
	}
}
