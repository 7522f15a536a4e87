package frame

import "bytes"

// The functions below look at what begins at b[0] and tell how long it is, if
// that shows, and where to go on looking if not.

func (s *Splitter) matchFixed(b []byte, _ int) (n, next int, v verdict) {
	switch n = s.spec.Size; {
	case len(b) < n:
		return 0, 1, more
	case !bytes.HasSuffix(b[:n], []byte(s.spec.End)):
		return n, 0, malformed
	}
	return n, 0, whole
}

func (s *Splitter) matchLength(b []byte, _ int) (n, next int, v verdict) {
	field := s.spec.Length
	behind := field.At + field.Width
	if len(b) < max(behind, len(s.spec.Start)) {
		return 0, 0, more
	}
	size := int64(number(b[field.At:behind], field.Order)) + int64(field.Bias) + int64(s.uncounted)
	switch {
	case size > int64(s.spec.Max):
		return 1, 0, tooLong
	case size < int64(s.least):
		return 1, 0, malformed
	}
	switch n = int(size); {
	case len(b) < n:
		return 0, 1, more
	case !bytes.HasSuffix(b[:n], []byte(s.spec.End)):
		return n, 0, malformed
	}
	return n, 0, whole
}

// matchStartStop is for frames without escapes.
func (s *Splitter) matchStartStop(b []byte, seen int) (n, next int, v verdict) {
	start, end := len(s.spec.Start), s.spec.End
	if len(b) < start {
		return 0, 0, more
	}
	seen = max(seen, start)
	i := indexOf(b[seen:], end)
	if i < 0 {
		if len(b) >= s.most {
			return s.most, 0, tooLong
		}
		return 0, max(start, len(b)-len(end)+1), more
	}
	switch n = seen + i + len(end) + s.spec.Trailer; {
	case n > s.most:
		return s.most, 0, tooLong
	case len(b) < n:
		return 0, seen + i, more
	}
	return n, 0, whole
}

// matchEscaped is for frames with escapes. An end or a start that is not escaped
// is what it looks like, wherever it stands.
func (s *Splitter) matchEscaped(b []byte, seen int) (n, next int, v verdict) {
	start, end := s.spec.Start, s.spec.End
	if len(b) < len(start) {
		return 0, 0, more
	}
	longest := max(len(start), len(end), 2)
	for i := max(seen, len(start)); ; {
		rest := b[i:]
		if len(rest) < longest && !bytes.HasPrefix(rest, []byte(end)) {
			if len(b) >= s.most {
				return s.most, 0, tooLong
			}
			return 0, i, more
		}
		switch {
		case i+len(end)+s.spec.Trailer > s.most:
			return s.most, 0, tooLong
		case bytes.HasPrefix(rest, []byte(end)):
			if n = i + len(end) + s.spec.Trailer; len(b) < n {
				return 0, i, more
			}
			return n, 0, whole
		case bytes.HasPrefix(rest, []byte(start)):
			return i, 0, malformed
		case rest[0] != s.spec.Escape[0]:
			i++
		default:
			i += 2
		}
	}
}

// unescape appends a frame with start and end, but without escapes. Of a frame
// between flags, raw is only what is between them.
func (s *Splitter) unescape(to, raw []byte) (frame []byte, ok bool) {
	var tail []byte
	if !s.spec.flagged() {
		n := len(raw) - len(s.spec.End) - s.spec.Trailer
		raw, tail = raw[len(s.spec.Start):n], raw[n+len(s.spec.End):]
	}
	to = append(to, s.spec.Start...)
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if s.spec.Escape != "" && c == s.spec.Escape[0] {
			if i++; i == len(raw) {
				return to, false
			}
			c = raw[i] ^ s.spec.xor()
		}
		to = append(to, c)
	}
	return append(append(to, s.spec.End...), tail...), true
}
