package frame

import "bytes"

// scan looks for frames that begin anywhere.
func (s *Splitter) scan(emit func([]byte)) (used int) {
	if s.skip {
		s.stats.NoiseBytes += uint64(len(s.buf))
		return len(s.buf)
	}
	for used < len(s.buf) {
		b := s.buf[used:]
		if i := s.begin(b); i > 0 {
			used += s.drop(i)
			continue
		}
		n, next, v := s.match(b, s.seen)
		if v == more {
			if len(b) >= len(s.spec.Start) {
				s.seen = next
			}
			break
		}
		s.seen = 0
		if v == whole {
			v = s.give(b[:n], emit)
		}
		if v == whole {
			s.doomed = 0
			used += n
			continue
		}
		used += s.fail(b, n, v)
	}
	return used
}

// begin returns where in b a frame may begin, at its end at the latest.
func (s *Splitter) begin(b []byte) int {
	start := s.spec.Start
	if start == "" {
		return 0
	}
	if s.seen > 0 { // it was looked at
		return 0
	}
	if i := bytes.IndexByte(b, start[0]); len(start) == 1 || i < 0 {
		if i < 0 {
			return len(b)
		}
		return i
	}
	if i := bytes.Index(b, []byte(start)); i >= 0 {
		return i
	}
	for n := min(len(start)-1, len(b)); n > 0; n-- {
		if string(b[len(b)-n:]) == string(start[:n]) {
			return len(b) - n
		}
	}
	return len(b)
}

// fail counts a frame of n bytes that begins at b and is none, and returns how
// many bytes that costs. What fails within a frame that has failed is noise.
func (s *Splitter) fail(b []byte, n int, v verdict) (used int) {
	if s.doomed == 0 && (s.spec.Start != "" || v != tooLong) {
		s.count(v)
		s.doomed = n
	}
	if s.credit -= n; s.credit < 0 {
		return s.drop(min(n, len(b)))
	}
	return s.drop(1)
}

func (s *Splitter) count(v verdict) {
	switch v {
	case badChecksum:
		s.stats.BadChecksum++
	case tooLong:
		s.stats.TooLong++
	case malformed:
		s.stats.Malformed++
	}
}

// drop counts n bytes as noise, and returns n.
func (s *Splitter) drop(n int) int {
	s.stats.NoiseBytes += uint64(n)
	s.doomed = max(0, s.doomed-n)
	return n
}
