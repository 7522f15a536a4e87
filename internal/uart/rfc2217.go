package uart

import (
	"encoding/binary"
	"fmt"
)

// The commands of RFC 2217 §2 to §4 as a client sends them. A server sends its
// own, and answers, with fromServer added.
const (
	cpSignature     = 0
	cpSetBaud       = 1 // 4 bytes, big endian; 0 asks for the value in use, as in the next three
	cpSetDataSize   = 2
	cpSetParity     = 3
	cpSetStopSize   = 4
	cpSetControl    = 5
	cpLineState     = 6 // server only
	cpModemState    = 7 // server only
	cpSuspend       = 8
	cpResume        = 9
	cpLineMask      = 10
	cpModemMask     = 11
	cpPurge         = 12
	fromServer      = 100
	maxPortCommands = 13
)

// The values of SET-CONTROL, RFC 2217 §3.
const (
	ctlAskFlow     = 0
	ctlNoFlow      = 1
	ctlXONXOFF     = 2
	ctlRTSCTS      = 3
	ctlAskBreak    = 4
	ctlBreakOn     = 5
	ctlBreakOff    = 6
	ctlAskDTR      = 7
	ctlDTROn       = 8
	ctlDTROff      = 9
	ctlAskRTS      = 10
	ctlRTSOn       = 11
	ctlRTSOff      = 12
	ctlAskInFlow   = 13
	ctlNoInFlow    = 14
	ctlInXONXOFF   = 15
	ctlInRTSCTS    = 16
	purgeReceived  = 1
	purgeUnsent    = 2
	purgeBoth      = 3
	maxFlowControl = 19
)

// The bits of NOTIFY-LINESTATE that are errors, RFC 2217 §4.
const (
	stateOverrun = 1 << 1
	stateParity  = 1 << 2
	stateFraming = 1 << 3
	stateBreak   = 1 << 4
	stateErrors  = stateOverrun | stateParity | stateFraming | stateBreak
)

// parities and flows are in the order of their values on the wire, which begin
// with 1.
var (
	parities = []Parity{NoParity, OddParity, EvenParity, MarkParity, SpaceParity}
	flows    = []Flow{NoFlow, XONXOFF, RTSCTS}
)

// wire returns the value of v on the wire, or 0 if it has none.
func wire[T comparable](values []T, v T) byte {
	for i, o := range values {
		if o == v {
			return byte(i + 1)
		}
	}
	return 0
}

// meant is the inverse of wire.
func meant[T any](values []T, b byte) (v T, ok bool) {
	if b == 0 || int(b) > len(values) {
		return v, false
	}
	return values[b-1], true
}

// lineCommands returns the commands that set a line, in the order of §2.
func lineCommands(cfg Config) [][]byte {
	return [][]byte{
		binary.BigEndian.AppendUint32([]byte{cpSetBaud}, uint32(cfg.Baud)),
		{cpSetDataSize, byte(cfg.DataBits)},
		{cpSetParity, wire(parities, cfg.Parity)},
		{cpSetStopSize, byte(cfg.StopBits)}, // 3 is one and a half
		{cpSetControl, wire(flows, cfg.Flow)},
	}
}

// confirmed compares the answer to a command with it. A rate may be off as much
// as an adapter's may.
func confirmed(command, answer []byte) error {
	if command[0] != cpSetBaud {
		if len(answer) != 1 || answer[0] != command[1] {
			return fmt.Errorf("the far side refuses %s: asked for %d, it has %d", settings[command[0]], command[1:], answer)
		}
		return nil
	}
	if len(answer) != 4 {
		return fmt.Errorf("the far side answers a rate of %d bytes", len(answer))
	}
	want, got := int(binary.BigEndian.Uint32(command[1:])), int(binary.BigEndian.Uint32(answer))
	if abs(got-want)*100 > 3*want {
		return fmt.Errorf("the far side cannot do %d baud; it has %d", want, got)
	}
	return nil
}

// settings are the names of commands, for people.
var settings = [maxPortCommands]string{
	cpSetBaud: "baud", cpSetDataSize: "data_bits", cpSetParity: "parity", cpSetStopSize: "stop_bits", cpSetControl: "flow",
}
