package frame

import (
	"slices"
	"strings"
	"time"
)

// The bounds of a Spec.
const (
	MaxFrame  = 65536 // bytes
	maxMarker = 16    // bytes of start and end
	maxPause  = time.Minute
)

func (s Spec) withDefaults() Spec {
	if s.Max == 0 {
		s.Max = 1024
	}
	if s.Kind == Delimiter && s.End == "" {
		s.End = "\n"
	}
	if s.Kind == SML {
		s.Start = smlStart
	}
	if s.Gap == 0 {
		s.Gap = 20 * time.Millisecond
	}
	if s.Timeout == 0 {
		s.Timeout = time.Second
	}
	if s.Length.Width == 0 {
		s.Length.Width = 1
	}
	if s.Length.Counts == "" {
		s.Length.Counts = CountAfter
	}
	return s
}

// flagged reports whether the same bytes begin and end a frame, so that what ends
// one may begin the next, as in HDLC.
func (s *Spec) flagged() bool { return s.Kind == StartStop && s.Start == s.End }

func (s *Spec) xor() byte {
	if s.XOR == "" {
		return 0
	}
	return s.XOR[0]
}

// delimiter is what is between two frames.
func (s *Spec) delimiter() string {
	switch s.Kind {
	case SLIP:
		return "\xc0"
	case COBS:
		return "\x00"
	}
	return string(s.End)
}

// checkSize is how many bytes of a frame the checksum is.
func (s *Spec) checkSize() int {
	if c := newChecker(s); c != nil {
		return c.size
	}
	return 0
}

// checkBehind is how many of them come after the length.
func (s *Spec) checkBehind() int {
	if s.Check != nil && s.Check.At != nil && *s.Check.At >= 0 && *s.Check.At < s.Length.At {
		return 0
	}
	return s.checkSize()
}

// uncounted is how many bytes of a frame its length does not count.
func (s *Spec) uncounted() int {
	n := s.Length.At + s.Length.Width
	switch s.Length.Counts {
	case CountFrame:
		return 0
	case CountBody:
		return n + s.checkBehind() + len(s.End)
	}
	return n
}

// least is the fewest bytes that a frame with a length can have.
func (s *Spec) least() int {
	return max(len(s.Start), s.Length.At+s.Length.Width) + s.checkBehind() + len(s.End)
}

// Validate reports everything that is wrong: a join of *FieldError.
func (s Spec) Validate() error {
	var m mistakes
	if !slices.Contains(Kinds, s.Kind) {
		m.add("kind", "%q is not one of %s", s.Kind, strings.Join(s.Kind.Values(), ", "))
		return m.join()
	}
	s.refuseStrange(&m)
	s = s.withDefaults()
	if s.Max < 1 || s.Max > MaxFrame {
		m.add("max", "%d is not between 1 and %d", s.Max, MaxFrame)
	}
	if len(s.Start) > maxMarker {
		m.add("start", "has %d bytes, more than %d", len(s.Start), maxMarker)
	}
	if len(s.End) > maxMarker {
		m.add("end", "has %d bytes, more than %d", len(s.End), maxMarker)
	}
	if s.Gap < time.Millisecond || s.Gap > 10*time.Second {
		m.add("gap", "%v is not between 1ms and 10s", s.Gap)
	}
	if s.Timeout < time.Millisecond || s.Timeout > maxPause {
		m.add("timeout", "%v is not between 1ms and %v", s.Timeout, maxPause)
	}
	if s.Check != nil {
		s.Check.validate(&m)
	}
	switch s.Kind {
	case Fixed:
		s.validateFixed(&m)
	case Length:
		s.validateLength(&m)
	case StartStop:
		s.validateStartStop(&m)
	case SML:
		s.validateSML(&m)
	}
	if len(m) == 0 && s.shortest() > s.Max {
		m.add("max", "%d is less than the shortest frame, which has %d", s.Max, s.shortest())
	}
	return m.join()
}

// refuseStrange finds what is for other kinds.
func (s *Spec) refuseStrange(m *mistakes) {
	for _, f := range []struct {
		field string
		set   bool
		kinds []Kind
	}{
		{"start", s.Start != "", []Kind{Fixed, Length, StartStop}},
		{"end", s.End != "", []Kind{Delimiter, Fixed, Length, StartStop}},
		{"trailer", s.Trailer != 0, []Kind{StartStop}},
		{"escape", s.Escape != "", []Kind{StartStop}},
		{"xor", s.XOR != "", []Kind{StartStop}},
		{"size", s.Size != 0, []Kind{Fixed}},
		{"length", s.Length != Field{}, []Kind{Length}},
		{"gap", s.Gap != 0, []Kind{Gap}},
		{"timeout", s.Timeout != 0, []Kind{Fixed, Length, StartStop, SML}},
	} {
		if f.set && !slices.Contains(f.kinds, s.Kind) {
			m.add(f.field, "is for kind %s, not %s", strings.Join(texts(f.kinds), ", "), s.Kind)
		}
	}
}

// shortest returns the fewest bytes that a frame has.
func (s *Spec) shortest() int {
	switch s.Kind {
	case Fixed:
		return s.Size
	case Length:
		return s.least()
	case StartStop:
		return len(s.Start) + len(s.End) + s.Trailer
	}
	return 1
}

func (s *Spec) validateFixed(m *mistakes) {
	if s.Size < 1 || s.Size > MaxFrame {
		m.add("size", "%d is not between 1 and %d", s.Size, MaxFrame)
	} else if len(s.Start)+len(s.End) > s.Size {
		m.add("size", "%d is less than start and end have", s.Size)
	}
}

func (s *Spec) validateLength(m *mistakes) {
	f := s.Length
	if f.At < 0 || f.At > 255 {
		m.add("length.at", "%d is not between 0 and 255", f.At)
	} else if f.At < len(s.Start) {
		m.add("length.at", "%d is within start", f.At)
	}
	if f.Width != 1 && f.Width != 2 && f.Width != 4 {
		m.add("length.width", "%d is not 1, 2 or 4", f.Width)
	}
	if f.Order != "" && !slices.Contains(f.Order.Values(), string(f.Order)) {
		m.add("length.order", "%q is not one of %s", f.Order, strings.Join(f.Order.Values(), ", "))
	}
	if !slices.Contains(f.Counts.Values(), string(f.Counts)) {
		m.add("length.counts", "%q is not one of %s", f.Counts, strings.Join(f.Counts.Values(), ", "))
	}
	if f.Bias < -MaxFrame || f.Bias > MaxFrame {
		m.add("length.bias", "%d is not between -%d and %d", f.Bias, MaxFrame, MaxFrame)
	}
}

func (s *Spec) validateStartStop(m *mistakes) {
	if s.Start == "" {
		m.add("start", "must be set for kind start_stop; for frames that only end, there is kind delimiter")
	}
	if s.End == "" {
		m.add("end", "must be set for kind start_stop")
	}
	if s.Trailer < 0 || s.Trailer > 64 {
		m.add("trailer", "%d is not between 0 and 64", s.Trailer)
	}
	if s.Start != "" && s.flagged() && s.Trailer != 0 {
		m.add("trailer", "cannot be where the same bytes begin and end a frame")
	}
	if len(s.Escape) > 1 {
		m.add("escape", "has %d bytes, not one", len(s.Escape))
	}
	if len(s.XOR) > 1 {
		m.add("xor", "has %d bytes, not one", len(s.XOR))
	}
	if s.XOR != "" && s.Escape == "" {
		m.add("xor", "is for frames with escape")
	}
	if s.XOR != "" && (len(s.Start) > 1 || len(s.End) > 1) {
		m.add("xor", "is for frames whose start and end are one byte each")
	}
	if s.Check != nil && s.Check.At == nil && s.Trailer > 0 && s.Trailer < s.checkSize() {
		m.add("trailer", "%d has no room for the checksum of %d bytes", s.Trailer, s.checkSize())
	}
}

// validateSML allows another CRC only.
func (s *Spec) validateSML(m *mistakes) {
	if s.Check == nil {
		return
	}
	crc, ok := findCRC(s.Check.Algorithm)
	if !ok || crc.Width != 16 || *s.Check != (Check{Algorithm: s.Check.Algorithm}) {
		m.add("checksum", "for kind sml, only the name of a CRC of 16 bits can be given")
	}
}
