package frame

import (
	"bytes"
	"fmt"
	"slices"
)

// A Builder makes frames of a Spec.
type Builder struct {
	spec  Spec
	check *checker
	sml   Splitter // knows the CRC of sml
}

// NewBuilder returns a Builder for a Spec that is valid.
func NewBuilder(spec Spec) *Builder {
	spec = spec.withDefaults()
	b := &Builder{spec: spec, check: newChecker(&spec)}
	if spec.Kind == SML {
		b.check, b.sml.crc = nil, smlCRC(&spec)
		b.spec.Start = "" // it is no part of the file
	}
	return b
}

// Frame returns the frame that content makes: what is left of a frame without
// start, end, length and checksum, which are put into their places, and without
// escapes. The error says why there is no such frame.
func (b *Builder) Frame(content []byte) ([]byte, error) {
	frame, err := b.assemble(content)
	if err != nil {
		return nil, err
	}
	if len(frame) > b.spec.Max {
		return nil, fmt.Errorf("the frame has %d bytes, more than %d", len(frame), b.spec.Max)
	}
	switch b.spec.Kind {
	case Delimiter:
		if bytes.Contains(frame, []byte(b.spec.End)) {
			return nil, fmt.Errorf("the content has %q in it, which ends a frame", string(b.spec.End))
		}
		return append(frame, b.spec.End...), nil
	case SLIP:
		return appendSlip(nil, frame), nil
	case COBS:
		return appendCobs(nil, frame), nil
	case SML:
		return b.sml.appendSML(nil, frame), nil
	case StartStop:
		return b.escape(frame)
	}
	return frame, nil
}

// A hole is what is put into a frame beside its content.
type hole struct{ at, size int }

// assemble puts everything into its place.
func (b *Builder) assemble(content []byte) ([]byte, error) {
	s := &b.spec
	plain := append([]byte(s.Start), content...)
	plain = append(plain, s.end()...)
	var holes []hole
	total := len(plain)
	if s.Kind == Length {
		holes = append(holes, hole{s.Length.At, s.Length.Width})
		total += s.Length.Width
	}
	if b.check != nil {
		total += b.check.size
		at, _, _, _ := b.check.place(total)
		if s.Kind == StartStop && s.Trailer > 0 && b.check.At == nil {
			at = total - b.check.size // all that is after the end
		}
		holes = append(holes, hole{at, b.check.size})
	}
	if len(holes) == 2 && holes[1].at < holes[0].at {
		slices.Reverse(holes)
	}
	frame, err := punch(plain, holes)
	if err != nil {
		return nil, err
	}
	return b.complete(frame)
}

// punch makes room in plain.
func punch(plain []byte, holes []hole) (frame []byte, err error) {
	for _, h := range holes {
		n := h.at - len(frame)
		if n < 0 || n > len(plain) {
			return nil, fmt.Errorf("the content is too short for what is at %d", h.at)
		}
		frame = append(append(frame, plain[:n]...), make([]byte, h.size)...)
		plain = plain[n:]
	}
	return append(frame, plain...), nil
}

// complete fills length and checksum in.
func (b *Builder) complete(frame []byte) ([]byte, error) {
	s := &b.spec
	if s.Kind == Fixed && len(frame) != s.Size {
		return nil, fmt.Errorf("the frame has %d bytes, not %d", len(frame), s.Size)
	}
	if s.Kind == StartStop && s.Trailer > 0 && (b.check == nil || b.check.size != s.Trailer) {
		return nil, fmt.Errorf("the trailer of %d bytes is more than a checksum, and nobody knows what", s.Trailer)
	}
	if f := s.Length; s.Kind == Length {
		v := len(frame) - f.Bias - s.uncounted()
		if v < 0 || uint64(v) >= 1<<(8*f.Width) {
			return nil, fmt.Errorf("a length of %d does not fit into %d bytes", v, f.Width)
		}
		putNumber(frame[:f.At], uint32(v), f.Width, f.Order)
	}
	if b.check != nil {
		if err := b.check.fill(frame); err != nil {
			return nil, err
		}
	}
	return frame, nil
}

// escape returns a frame with start and stop as it is on the line.
func (b *Builder) escape(frame []byte) ([]byte, error) {
	s := &b.spec
	start, end := len(s.Start), len(frame)-len(s.End)-s.Trailer
	if s.Escape == "" {
		if i := bytes.Index(frame[start:], []byte(s.End)); start+i < end {
			return nil, fmt.Errorf("the content has %q in it, which ends a frame", string(s.End))
		}
		return frame, nil
	}
	special := []byte{s.Start[0], s.End[0], s.Escape[0]}
	out := slices.Clone(frame[:start])
	for _, c := range frame[start:end] {
		if bytes.IndexByte(special, c) >= 0 {
			out = append(out, s.Escape[0])
			c ^= s.xor()
		}
		out = append(out, c)
	}
	return append(out, frame[end:]...), nil
}

// end returns what ends a frame and belongs to it.
func (s *Spec) end() Bytes {
	if s.Kind == Delimiter {
		return ""
	}
	return s.End
}
