package serial

import "bytes"

// A splitter cuts what comes in into lines, however it comes. It keeps no more
// than one line of the permitted length.
type splitter struct {
	delimiter []byte
	max       int  // bytes of a line
	skip      bool // up to the next delimiter, nothing counts

	buf     []byte
	scanned int // bytes of buf in which no delimiter begins
}

// feed calls line for every line that chunk completes; the bytes are good for
// the call only. Empty lines do not count. For each line that is too long it
// calls long once, as soon as that is certain.
func (s *splitter) feed(chunk []byte, line func([]byte), long func()) {
	s.buf = append(s.buf, chunk...)
	rest := s.buf
	for {
		i := bytes.Index(rest[s.scanned:], s.delimiter)
		if i < 0 {
			break
		}
		end := s.scanned + i
		s.complete(rest[:end], line, long)
		rest, s.scanned, s.skip = rest[end+len(s.delimiter):], 0, false
	}
	tail := len(s.delimiter) - 1 // what may be the beginning of a delimiter
	if len(rest) > s.max+tail {
		if !s.skip {
			long()
		}
		s.skip = true
	}
	if s.skip {
		rest = rest[max(0, len(rest)-tail):]
	}
	s.scanned = max(0, len(rest)-tail)
	s.buf = append(s.buf[:0], rest...)
}

func (s *splitter) complete(b []byte, line func([]byte), long func()) {
	if len(s.delimiter) == 1 && s.delimiter[0] == '\n' {
		b = bytes.TrimSuffix(b, []byte("\r"))
	}
	switch {
	case s.skip || len(b) == 0:
	case len(b) > s.max:
		long()
	default:
		line(b)
	}
}
