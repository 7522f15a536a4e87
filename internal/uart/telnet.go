package uart

// The commands and options of telnet that serial servers use: RFC 854 and 855,
// RFC 856 (binary), 857 (echo), 858 (suppress go ahead) and 2217.
const (
	tnSE   = 240
	tnSB   = 250
	tnWill = 251
	tnWont = 252
	tnDo   = 253
	tnDont = 254
	tnIAC  = 255

	optBinary  = 0
	optEcho    = 1
	optSGA     = 3
	optComPort = 44
)

// maxSub is how much of a subnegotiation is kept. The longest that means
// something is a signature; what is longer is cut.
const maxSub = 256

// A telnetEvent is called for what a stream has beside data. sub is good for
// the call only, and is the content of a subnegotiation (tnSB).
type telnetEvent func(verb, option byte, sub []byte)

// A telnetDecoder takes a stream apart, however it comes. It leaves a carriage
// return as it is: RFC 854 has it followed by NUL or line feed unless binary is
// agreed, but serial servers that refuse binary do not keep to that.
type telnetDecoder struct {
	state telnetState
	verb  byte
	sub   []byte // option and content
}

type telnetState byte

const (
	inData      telnetState = iota
	inCommand               // after IAC
	inOption                // after WILL, WONT, DO, DONT
	inSub                   // after SB
	inSubEscape             // after IAC within
)

// decode appends the data in chunk to data.
func (d *telnetDecoder) decode(data, chunk []byte, event telnetEvent) []byte {
	for _, b := range chunk {
		switch d.state {
		case inData:
			if b == tnIAC {
				d.state = inCommand
			} else {
				data = append(data, b)
			}
		case inCommand:
			data = d.command(data, b)
		case inOption:
			d.state = inData
			event(d.verb, b, nil)
		case inSub:
			if b == tnIAC {
				d.state = inSubEscape
			} else {
				d.keep(b)
			}
		case inSubEscape:
			data = d.escaped(data, b, event)
		}
	}
	return data
}

// command takes the byte after IAC. Those that are not known have no argument.
func (d *telnetDecoder) command(data []byte, b byte) []byte {
	d.state = inData
	switch b {
	case tnIAC:
		return append(data, b)
	case tnSB:
		d.state, d.sub = inSub, d.sub[:0]
	case tnWill, tnWont, tnDo, tnDont:
		d.state, d.verb = inOption, b
	}
	return data
}

// escaped takes the byte after IAC within a subnegotiation. One that does not
// belong there means that its end was lost.
func (d *telnetDecoder) escaped(data []byte, b byte, event telnetEvent) []byte {
	switch b {
	case tnIAC:
		d.state = inSub
		d.keep(b)
	case tnSE:
		d.state = inData
		if len(d.sub) > 0 {
			event(tnSB, d.sub[0], d.sub[1:])
		}
	default:
		return d.command(data, b)
	}
	return data
}

func (d *telnetDecoder) keep(b byte) {
	if len(d.sub) < maxSub {
		d.sub = append(d.sub, b)
	}
}

// appendEscaped appends data as it is on the wire.
func appendEscaped(b, data []byte) []byte {
	for _, c := range data {
		if c == tnIAC {
			b = append(b, tnIAC)
		}
		b = append(b, c)
	}
	return b
}

// appendSub appends a subnegotiation of RFC 2217.
//
//	IAC SB COM-PORT-OPTION | content, escaped | IAC SE
func appendSub(b []byte, content ...byte) []byte {
	b = append(b, tnIAC, tnSB, optComPort)
	return append(appendEscaped(b, content), tnIAC, tnSE)
}

// A negotiation is which options are on at each end, or asked for.
type negotiation struct {
	us, them       options // on, or asked for by us
	mayUs, mayThem options // what is agreed to when they ask
}

// options is a set of the first 64 options; those beyond are never agreed to.
type options uint64

func optionSet(list ...byte) (s options) {
	for _, o := range list {
		s |= 1 << o
	}
	return s
}

func (s options) has(o byte) bool { return s&(1<<o) != 0 } // false for o > 63

// ask appends the offer of every option in us and the request for every one in
// them that is not on yet.
func (n *negotiation) ask(b []byte, us, them options) []byte {
	for o := range byte(64) {
		if us.has(o) && !n.us.has(o) {
			b = append(b, tnIAC, tnWill, o)
		}
		if them.has(o) && !n.them.has(o) {
			b = append(b, tnIAC, tnDo, o)
		}
	}
	n.us |= us
	n.them |= them
	return b
}

// answer appends the reply to a request. What is as it should be already gets
// none, so that two ends never answer each other for ever (RFC 854, page 3).
func (n *negotiation) answer(b []byte, verb, option byte) []byte {
	switch verb {
	case tnDo:
		return agree(b, &n.us, n.mayUs, option, tnWill, tnWont)
	case tnDont:
		return end(b, &n.us, option, tnWont)
	case tnWill:
		return agree(b, &n.them, n.mayThem, option, tnDo, tnDont)
	case tnWont:
		return end(b, &n.them, option, tnDont)
	}
	return b
}

func agree(b []byte, on *options, may options, option, yes, no byte) []byte {
	switch {
	case on.has(option):
		return b
	case may.has(option):
		*on |= 1 << option
		return append(b, tnIAC, yes, option)
	}
	return append(b, tnIAC, no, option)
}

func end(b []byte, on *options, option, no byte) []byte {
	if !on.has(option) {
		return b
	}
	*on &^= 1 << option
	return append(b, tnIAC, no, option)
}
