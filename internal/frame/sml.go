package frame

import "bytes"

// The transport protocol of the Smart Message Language, version 1 (BSI
// TR-03109-1, annex IV a, "SML 1.04", section 8): a file is between two escape
// sequences, and what looks like one within is escaped by another.
//
//	1b1b1b1b 01010101 | file, padded to four bytes | 1b1b1b1b 1a padding crc crc
const (
	smlEscape = "\x1b\x1b\x1b\x1b"
	smlStart  = smlEscape + "\x01\x01\x01\x01"
	smlEnd    = 0x1a
)

// smlCRC is the CRC of the specification, or the one that the configuration has
// for meters which compute another.
func smlCRC(s *Spec) *crcTable {
	name := "CRC-16/IBM-SDLC"
	if s.Check != nil {
		name = s.Check.Algorithm
	}
	crc, _ := findCRC(name)
	return newCRC(crc)
}

func (s *Splitter) matchSML(b []byte, seen int) (n, next int, v verdict) {
	if len(b) < len(smlStart) {
		return 0, 0, more
	}
	for at := max(seen, len(smlStart)); ; {
		i := bytes.Index(b[at:], []byte(smlEscape))
		from := at + i
		if i < 0 {
			from = max(at, len(b)-len(smlEscape)+1)
		}
		if n = from + 8; n > s.most {
			return s.most, 0, tooLong
		}
		if i < 0 || len(b) < n {
			return 0, from, more
		}
		switch {
		case b[from+4] == smlEnd:
			return n, 0, whole
		case string(b[from+4:n]) == smlEscape:
			at = n
		case b[from+4] == smlEscape[0]: // the first byte at from was the last one of the file
			at = from + 1
		default:
			return from, 0, malformed
		}
	}
}

// smlGood reports whether the checksum is right, which covers everything before
// it as it is on the line.
func (s *Splitter) smlGood(raw []byte) bool {
	n := len(raw) - 2
	sum := s.crc.finish(s.crc.update(s.crc.start, raw[:n]))
	return number(raw[n:], Little) == sum
}

// unsml returns the file without its escapes and its padding.
func unsml(to, raw []byte) (frame []byte, ok bool) {
	n := len(raw) - 8
	padding := int(raw[n+5])
	raw = raw[len(smlStart):n]
	for {
		i := bytes.Index(raw, []byte(smlEscape))
		if i < 0 {
			break
		}
		to = append(to, raw[:i+4]...)
		raw = raw[i+8:]
	}
	if to = append(to, raw...); padding > 3 || padding > len(to) {
		return to, false
	}
	return to[:len(to)-padding], true
}

// appendSML makes a transport file of frame.
func (s *Splitter) appendSML(to, frame []byte) []byte {
	begin := len(to)
	to = append(to, smlStart...)
	for {
		i := bytes.Index(frame, []byte(smlEscape))
		if i < 0 {
			break
		}
		to = append(append(to, frame[:i+4]...), smlEscape...)
		frame = frame[i+4:]
	}
	to = append(to, frame...)
	padding := -(len(to) - begin) & 3
	to = append(to, make([]byte, padding)...)
	to = append(append(to, smlEscape...), smlEnd, byte(padding))
	sum := s.crc.finish(s.crc.update(s.crc.start, to[begin:]))
	return putNumber(to, sum, 2, Little)
}
