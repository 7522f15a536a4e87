package modbus

import "bytes"

// A search looks for the reply to a request in what comes on a line, whatever
// stands before it.
type search struct {
	framing Framing
	unit    byte
	req     PDU
	over    bool // nothing more will come

	edge   int  // before it are whole frames of others
	from   int  // before it no reply begins
	begun  bool // one begins at from, and is not complete
	broken bool // something looked like the reply and had the wrong checksum
}

// find returns the reply in b and where it ends.
func (s *search) find(b []byte) (reply PDU, end int) {
	s.begun = false
	if s.framing == ASCII {
		return s.findASCII(b)
	}
	return s.findRTU(b)
}

// findRTU tries each place where unit and function are right. The first that
// is not complete is waited for: its data may well look like a frame.
func (s *search) findRTU(b []byte) (reply PDU, end int) {
	s.skip(b)
	for ; s.from+1 < len(b); s.from++ {
		if b[s.from] != s.unit {
			continue
		}
		f := b[s.from:]
		n := replyLength(s.req, f[1:])
		if n == unknown && s.over {
			n = len(f) - 3
		}
		switch {
		case n == never:
		case n <= 0 || n+3 > len(f):
			s.begun = true
			if !s.over {
				return nil, 0
			}
		case CRC(f[:n+3]) == 0:
			return PDU(f[1 : n+1]), s.from + n + 3
		default:
			s.broken = true
		}
	}
	return nil, 0
}

// skip passes over answers of other units, which came too late for others or are
// given to another client: what looks like the reply within them is none.
func (s *search) skip(b []byte) {
	for f := b[s.edge:]; len(f) > 0 && f[0] != s.unit; f = b[s.edge:] {
		n := anyReplyLength(f[1:])
		if n <= 0 || n+3 > len(f) || CRC(f[:n+3]) != 0 {
			return
		}
		s.edge += n + 3
		s.from = max(s.from, s.edge)
	}
}

// cut says that n bytes were taken off the front.
func (s *search) cut(n int) {
	s.from = max(0, s.from-n)
	s.edge = max(0, s.edge-n)
}

// findASCII tries each frame. A colon begins a new one, whatever came before
// (SL §2.5.2.1).
func (s *search) findASCII(b []byte) (reply PDU, end int) {
	for s.from < len(b) {
		f := b[s.from:]
		if f[0] != ':' {
			s.from++
			continue
		}
		n := 1 + bytes.IndexAny(f[1:], ":\n")
		switch {
		case n == 0 && len(f) < maxASCII:
			s.begun = true
			return nil, 0
		case n == 0 || f[n] == ':':
			s.broken = true
			s.from += max(n, 1)
			continue
		}
		unit, pdu, err := DecodeASCII(f[:n+1])
		switch {
		case err != nil:
			s.broken = true
		case unit == s.unit && s.fits(pdu):
			return pdu, s.from + n + 1
		}
		s.from += n + 1
	}
	return nil, 0
}

// fits reports whether a whole PDU is a reply to the request.
func (s *search) fits(pdu PDU) bool {
	n := replyLength(s.req, pdu)
	return n == len(pdu) || n == unknown
}

// diagnose says what is wrong with b, in which there is no reply.
func (s *search) diagnose(b []byte) error {
	if len(b) == 0 {
		return ErrTimeout
	}
	unit, pdu, err := s.decode(b)
	switch {
	case s.broken:
		return newFrameError(Checksum, b)
	case s.begun:
		return newFrameError(Short, b)
	case err != nil:
		return err
	case unit != s.unit:
		return newFrameError(ForeignUnit, b)
	case pdu.Function() != s.req.Function():
		return newFrameError(ForeignFunction, b)
	}
	return newFrameError(ForeignContent, b)
}

// decode takes all of b as one frame.
func (s *search) decode(b []byte) (unit byte, pdu PDU, err error) {
	if s.framing == ASCII {
		return DecodeASCII(b[max(0, bytes.IndexByte(b, ':')):])
	}
	return DecodeRTU(b)
}
