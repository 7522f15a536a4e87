package uart

import "encoding/binary"

// A comServer is the side of RFC 2217 that has the line. It does no I/O.
type comServer struct {
	decoder telnetDecoder
	options negotiation

	// line returns how the line is set.
	line func() Config

	// set changes it. Where it is nil or has an error the line stays as it is,
	// and the answer to the client says how that is.
	set func(Config) error

	told        bool // how the modem lines are
	data, reply []byte
}

// newComServer returns a server and what it says first.
func newComServer(line func() Config, set func(Config) error) (s *comServer, hello []byte) {
	s = &comServer{line: line, set: set}
	s.options.mayUs = optionSet(optBinary, optSGA, optComPort)
	s.options.mayThem = s.options.mayUs
	binarySGA := optionSet(optBinary, optSGA)
	return s, s.options.ask(nil, binarySGA, binarySGA|optionSet(optComPort))
}

// decode returns the data in chunk and what to answer. Both are good until the
// next call.
func (s *comServer) decode(chunk []byte) (data, reply []byte) {
	s.reply = s.reply[:0]
	s.data = s.decoder.decode(s.data[:0], chunk, s.event)
	return s.data, s.reply
}

func (s *comServer) event(verb, option byte, sub []byte) {
	switch {
	case verb != tnSB:
		s.reply = s.options.answer(s.reply, verb, option)
	case option == optComPort && len(sub) > 0:
		s.command(sub[0], sub[1:])
	}
}

// modemState is carrier, DSR and CTS: the line is open.
const modemState = 0xb0

// answer appends an answer, which has the value in use.
func (s *comServer) answer(command byte, value ...byte) {
	s.reply = appendSub(s.reply, append([]byte{command + fromServer}, value...)...)
}

func (s *comServer) command(command byte, value []byte) {
	if !s.told { // the mask is 255 at first (§3), and pyserial relies on it
		s.told = true
		s.answer(cpModemState, modemState)
	}
	if command == cpSignature {
		if len(value) == 0 { // the client's own signature is no question
			s.answer(command, []byte("edge")...)
		}
		return
	}
	if len(value) == 0 {
		return
	}
	switch command {
	case cpSetBaud, cpSetDataSize, cpSetParity, cpSetStopSize:
		s.setting(command, value)
	case cpSetControl:
		s.answer(command, s.control(value[0]))
	case cpModemMask:
		s.answer(command, value[0])
		s.answer(cpModemState, modemState&value[0])
	case cpLineMask, cpPurge: // nothing is thrown away that others read, too
		s.answer(command, value[0])
	}
}

// setting changes a setting of the line if that is permitted.
func (s *comServer) setting(command byte, value []byte) {
	cfg := s.line()
	asked := cfg
	switch command {
	case cpSetBaud:
		if len(value) != 4 {
			return
		}
		asked.Baud = int(binary.BigEndian.Uint32(value))
	case cpSetDataSize:
		asked.DataBits = int(value[0])
	case cpSetParity:
		asked.Parity, _ = meant(parities, value[0])
	case cpSetStopSize:
		asked.StopBits = int(value[0])
	}
	if s.set != nil && asked != cfg && asked.lineSet() && asked.Validate() == nil && s.set(asked) == nil {
		cfg = asked
	}
	switch command {
	case cpSetBaud:
		s.answer(command, binary.BigEndian.AppendUint32(nil, uint32(cfg.Baud))...)
	case cpSetDataSize:
		s.answer(command, byte(cfg.DataBits))
	case cpSetParity:
		s.answer(command, wire(parities, cfg.Parity))
	case cpSetStopSize:
		s.answer(command, byte(cfg.StopBits))
	}
}

// control returns what holds of what a SET-CONTROL is about: the wires stay as
// the owner of the line has them, on, and there is no break.
func (s *comServer) control(value byte) byte {
	switch {
	case value >= ctlAskBreak && value <= ctlBreakOff:
		return ctlBreakOff
	case value >= ctlAskDTR && value <= ctlDTROff:
		return ctlDTROn
	case value >= ctlAskRTS && value <= ctlRTSOff:
		return ctlRTSOn
	case value >= ctlAskInFlow && value <= ctlInRTSCTS:
		return ctlNoInFlow
	}
	return wire(flows, s.line().Flow)
}
