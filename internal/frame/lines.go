package frame

import "bytes"

// lines cuts at delimiters. What fails there costs all up to the next one: it
// shows by nothing where a frame in the middle would begin.
func (s *Splitter) lines(emit func([]byte)) (used int) {
	delimiter := s.spec.delimiter()
	rest := s.buf
	for {
		i := indexOf(rest[s.seen:], delimiter)
		if i < 0 {
			break
		}
		end := s.seen + i
		s.line(rest[:end], emit)
		rest, s.seen, s.skip = rest[end+len(delimiter):], 0, false
	}
	tail := len(delimiter) - 1 // what may be the beginning of a delimiter
	if len(rest) > s.most+tail {
		if !s.skip {
			s.stats.TooLong++
		}
		s.skip = true
	}
	if s.skip {
		n := max(0, len(rest)-tail)
		s.drop(n)
		rest = rest[n:]
	}
	s.seen = max(0, len(rest)-tail)
	return len(s.buf) - len(rest)
}

func indexOf[T ~string](b []byte, s T) int {
	if len(s) == 1 {
		return bytes.IndexByte(b, s[0])
	}
	return bytes.Index(b, []byte(s))
}

// line takes what is between two delimiters. Nothing at all does not count, and
// before a line feed, a carriage return does not.
func (s *Splitter) line(b []byte, emit func([]byte)) {
	all := len(b)
	if s.spec.Kind == Delimiter && s.spec.End == "\n" {
		b = bytes.TrimSuffix(b, []byte("\r"))
	}
	v := tooLong
	switch {
	case s.skip:
		s.drop(all)
		return
	case len(b) == 0:
		return
	case len(b) <= s.most:
		v = s.give(b, emit)
	}
	if v != whole {
		s.count(v)
		s.drop(all)
	}
}

// silent gathers what comes until the silence.
func (s *Splitter) silent(func([]byte)) (used int) {
	if !s.skip && len(s.buf) > s.spec.Max {
		s.stats.TooLong++
		s.skip = true
	}
	if !s.skip {
		return 0
	}
	return s.drop(len(s.buf))
}

func (s *Splitter) silence(emit func([]byte)) {
	s.skip = false
	if len(s.buf) == 0 {
		return
	}
	if v := s.give(s.buf, emit); v != whole {
		s.count(v)
		s.drop(len(s.buf))
	}
	s.buf = s.buf[:0]
}
