package frame

import "time"

// Stats counts what a Splitter has seen.
type Stats struct {
	Frames      uint64 // that were good
	BadChecksum uint64
	TooLong     uint64
	Malformed   uint64 // a wrong end, an escape that means nothing, silence before the end
	NoiseBytes  uint64 // in no good frame; what only delimits does not count
}

// Bad returns how many frames have failed.
func (s Stats) Bad() uint64 { return s.BadChecksum + s.TooLong + s.Malformed }

// A verdict says what the bytes at hand are.
type verdict int

const (
	more verdict = iota // the end has not come yet
	whole
	malformed
	tooLong
	badChecksum
)

const (
	// perByte and mostCredit bound the work that noise can make: what a failed
	// frame has cost is paid, a byte for each that was looked at in vain, from
	// what each byte that comes brings. Who is out of credit loses a failed frame
	// as a whole. Frames of 256 bytes can thus fail at each of their bytes for
	// ever, and those of 64 KiB a few times.
	perByte    = 256
	mostCredit = 1 << 22
)

// A Splitter cuts what comes in into frames, however it comes. It keeps no more
// than about two frames of the greatest length.
type Splitter struct {
	spec  Spec
	check *checker
	crc   *crcTable // of sml
	most  int       // bytes of a frame on the line, with its escapes

	uncounted, least int // of a frame that says how long it is

	cut   func(emit func([]byte)) (used int)
	match func(b []byte, seen int) (n, next int, v verdict)

	buf    []byte
	seen   int // bytes of buf in which there is no end
	doomed int // bytes of buf in a frame that was counted as bad
	skip   bool
	credit int
	last   time.Time // something came
	out    []byte    // a frame without its escapes
	stats  Stats
}

// NewSplitter returns a Splitter for a Spec that is valid.
func NewSplitter(spec Spec) *Splitter {
	spec = spec.withDefaults()
	s := &Splitter{spec: spec, check: newChecker(&spec), most: spec.Max, credit: mostCredit}
	switch spec.Kind {
	case Delimiter:
		s.cut = s.lines
	case SLIP, COBS:
		s.cut, s.most = s.lines, 2*spec.Max+1
	case Gap:
		s.cut = s.silent
	case Fixed:
		s.cut, s.match = s.scan, s.matchFixed
	case Length:
		s.cut, s.match = s.scan, s.matchLength
		s.uncounted, s.least = spec.uncounted(), spec.least()
	case SML:
		s.cut, s.match, s.crc = s.scan, s.matchSML, smlCRC(&spec)
		s.most = 2*spec.Max + len(smlStart) + 3 + len(smlEscape) + 4 // with padding and end
	case StartStop:
		s.startStop()
	}
	return s
}

func (s *Splitter) startStop() {
	s.cut, s.match = s.scan, s.matchStartStop
	switch {
	case s.spec.flagged():
		s.cut, s.skip, s.most = s.lines, true, 2*s.spec.Max // what is before the first flag is no frame
	case s.spec.Escape != "":
		s.match, s.most = s.matchEscaped, 2*s.spec.Max
	}
}

// Stats returns what was counted since the beginning.
func (s *Splitter) Stats() Stats { return s.stats }

// SkipFirst says that the first bytes may be the rest of a frame of which the
// beginning was not heard. It changes nothing where this shows by itself.
func (s *Splitter) SkipFirst() {
	switch s.spec.Kind {
	case Fixed, Length:
		s.skip = s.spec.Start == "" && s.check == nil
	case Delimiter, Gap, SLIP, COBS:
		s.skip = true
	}
}

// Feed calls emit for every frame that b completes; its bytes are good for the
// call only. now is when b came.
func (s *Splitter) Feed(b []byte, now time.Time, emit func(frame []byte)) {
	if len(b) == 0 {
		return
	}
	s.last = now
	s.credit = min(s.credit+perByte*len(b), mostCredit)
	s.buf = append(s.buf, b...)
	s.run(emit)
}

func (s *Splitter) run(emit func([]byte)) {
	used := s.cut(emit)
	s.buf = append(s.buf[:0], s.buf[used:]...)
}

// Deadline returns when Expire is to be called if nothing more comes, or zero if
// silence means nothing now.
func (s *Splitter) Deadline() time.Time {
	wait := s.spec.Timeout
	if s.spec.Kind == Gap {
		wait = s.spec.Gap
	}
	if len(s.buf) == 0 && !s.skip || s.match == nil && s.spec.Kind != Gap || s.last.IsZero() {
		return time.Time{}
	}
	return s.last.Add(wait)
}

// Expire says that nothing came until the deadline: that ends a frame, or the
// hope for the rest of one.
func (s *Splitter) Expire(emit func(frame []byte)) {
	s.last = time.Time{}
	if s.spec.Kind == Gap {
		s.silence(emit)
		return
	}
	if s.match == nil {
		return
	}
	s.skip = false
	for len(s.buf) > 0 {
		s.seen = 0
		used := s.fail(s.buf, len(s.buf), malformed)
		s.buf = append(s.buf[:0], s.buf[used:]...)
		s.run(emit)
	}
}

// give calls emit with what a frame on the line contains, if it is right.
func (s *Splitter) give(raw []byte, emit func([]byte)) verdict {
	frame, ok := s.open(raw)
	if !ok {
		return malformed
	}
	if len(frame) > s.spec.Max {
		return tooLong
	}
	if s.check != nil && !s.check.good(frame) || s.crc != nil && !s.smlGood(raw) {
		return badChecksum
	}
	from, to := index(s.spec.Payload.From, len(frame)), len(frame)
	if s.spec.Payload.To != nil {
		to = index(*s.spec.Payload.To, len(frame))
	}
	if from < 0 || to > len(frame) || from > to {
		return malformed
	}
	s.stats.Frames++
	emit(frame[from:to:to])
	return whole
}

// open takes the escapes out of a frame.
func (s *Splitter) open(raw []byte) (frame []byte, ok bool) {
	switch s.spec.Kind {
	case SLIP:
		s.out, ok = unslip(s.out[:0], raw)
	case COBS:
		s.out, ok = uncobs(s.out[:0], raw)
	case SML:
		s.out, ok = unsml(s.out[:0], raw)
	case StartStop:
		if !s.spec.flagged() && s.spec.Escape == "" {
			return raw, true
		}
		s.out, ok = s.unescape(s.out[:0], raw)
	default:
		return raw, true
	}
	return s.out, ok
}
