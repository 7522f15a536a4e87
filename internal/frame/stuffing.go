package frame

// The special bytes of SLIP (RFC 1055, "Protocol").
const (
	slipEnd    = 0xc0
	slipEsc    = 0xdb
	slipEscEnd = 0xdc
	slipEscEsc = 0xdd
)

func unslip(to, raw []byte) (frame []byte, ok bool) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == slipEsc {
			if i++; i == len(raw) {
				return to, false
			}
			switch raw[i] {
			case slipEscEnd:
				c = slipEnd
			case slipEscEsc:
				c = slipEsc
			default: // RFC 1055 leaves open what this is; a checksum would not like it.
				return to, false
			}
		}
		to = append(to, c)
	}
	return to, true
}

// appendSlip begins with an END, too, which ends what noise has begun (RFC 1055,
// "Drivers").
func appendSlip(to, frame []byte) []byte {
	to = append(to, slipEnd)
	for _, c := range frame {
		switch c {
		case slipEnd:
			to = append(to, slipEsc, slipEscEnd)
		case slipEsc:
			to = append(to, slipEsc, slipEscEsc)
		default:
			to = append(to, c)
		}
	}
	return append(to, slipEnd)
}

// uncobs takes the code bytes away: each says where the next one is, which stands
// for a zero, unless it is 0xff (S. Cheshire, M. Baker, "Consistent Overhead Byte
// Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999).
func uncobs(to, raw []byte) (frame []byte, ok bool) {
	for len(raw) > 0 {
		code := int(raw[0])
		if code == 0 || code > len(raw) {
			return to, false
		}
		to = append(to, raw[1:code]...)
		if raw = raw[code:]; code != 0xff && len(raw) > 0 {
			to = append(to, 0)
		}
	}
	return to, true
}

// appendCobs stuffs a frame and ends it with a zero; it begins with one, too,
// which ends what noise has begun.
func appendCobs(to, frame []byte) []byte {
	to = append(to, 0)
	code := len(to)
	to = append(to, 1)
	for i, c := range frame {
		if c != 0 {
			to = append(to, c)
			to[code]++
		}
		if c == 0 || to[code] == 0xff && i < len(frame)-1 {
			code = len(to)
			to = append(to, 1)
		}
	}
	return append(to, 0)
}
