package modbus

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Sizes of frames in bytes (SL §2.5.1, §2.5.2; TG §3.1.3).
const (
	maxRTU   = 1 + MaxPDU + 2
	maxASCII = 1 + 2*(1+MaxPDU+1) + 2
	mbapSize = 7
)

// AppendRTU appends a frame of RTU (SL §2.5.1):
//
//	unit | PDU | CRC, low byte first
func AppendRTU(b []byte, unit byte, pdu PDU) []byte {
	start := len(b)
	b = append(append(b, unit), pdu...)
	return binary.LittleEndian.AppendUint16(b, CRC(b[start:]))
}

// DecodeRTU takes a whole frame apart. The PDU is within b. The error is a
// *FrameError.
func DecodeRTU(b []byte) (unit byte, pdu PDU, err error) {
	if len(b) < 4 {
		return 0, nil, newFrameError(Short, b)
	}
	if len(b) > maxRTU || CRC(b) != 0 {
		return 0, nil, newFrameError(Checksum, b)
	}
	return b[0], PDU(b[1 : len(b)-2]), nil
}

// AppendASCII appends a frame of ASCII (SL §2.5.2), with upper-case digits:
//
//	':' | unit, PDU and LRC as two hexadecimal digits each | CR | LF
func AppendASCII(b []byte, unit byte, pdu PDU) []byte {
	const digits = "0123456789ABCDEF"
	b = append(b, ':', digits[unit>>4], digits[unit&15])
	sum := unit
	for _, c := range pdu {
		sum += c
		b = append(b, digits[c>>4], digits[c&15])
	}
	sum = -sum
	return append(b, digits[sum>>4], digits[sum&15], '\r', '\n')
}

// DecodeASCII takes a whole frame apart, from ':' to LF. Lower-case digits are
// taken, too. The error is a *FrameError.
func DecodeASCII(b []byte) (unit byte, pdu PDU, err error) {
	if len(b) < 9 {
		return 0, nil, newFrameError(Short, b)
	}
	if len(b) > maxASCII || b[0] != ':' || b[len(b)-2] != '\r' || b[len(b)-1] != '\n' {
		return 0, nil, newFrameError(Checksum, b)
	}
	raw, err := hex.AppendDecode(nil, b[1:len(b)-2])
	if err != nil || LRC(raw) != 0 {
		return 0, nil, newFrameError(Checksum, b)
	}
	return raw[0], PDU(raw[1 : len(raw)-1]), nil
}

// AppendTCP appends a frame of Modbus TCP (TG §3.1.3):
//
//	transaction:16 | protocol:16 = 0 | length:16 of what follows | unit | PDU
func AppendTCP(b []byte, transaction uint16, unit byte, pdu PDU) []byte {
	b = binary.BigEndian.AppendUint16(b, transaction)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(1+len(pdu)))
	return append(append(b, unit), pdu...)
}

// A TCPFrame is a frame of Modbus TCP.
type TCPFrame struct {
	Transaction uint16
	Unit        byte
	PDU         PDU
}

// DecodeTCP takes the first frame off b and returns its size; 0 means that
// it is not complete. Its PDU is within b. The error is a *FrameError, and
// nothing in the stream can be relied on from then on.
func DecodeTCP(b []byte) (f TCPFrame, size int, err error) {
	if len(b) >= 4 && binary.BigEndian.Uint16(b[2:]) != 0 {
		return f, 0, newFrameError(Header, b)
	}
	if len(b) < 6 {
		return f, 0, nil
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < 2 || n > 1+MaxPDU {
		return f, 0, newFrameError(Header, b)
	}
	if len(b) < 6+n {
		return f, 0, nil
	}
	f = TCPFrame{binary.BigEndian.Uint16(b), b[6], PDU(b[mbapSize : 6+n])}
	return f, 6 + n, nil
}

// AppendFrame appends a frame of any framing; transaction is for TCP only.
func AppendFrame(b []byte, f Framing, transaction uint16, unit byte, pdu PDU) ([]byte, error) {
	if len(pdu) == 0 || len(pdu) > MaxPDU {
		return b, fmt.Errorf("a PDU has 1 to %d bytes, not %d", MaxPDU, len(pdu))
	}
	switch f {
	case RTU:
		return AppendRTU(b, unit, pdu), nil
	case ASCII:
		return AppendASCII(b, unit, pdu), nil
	case TCP:
		return AppendTCP(b, transaction, unit, pdu), nil
	}
	return b, fmt.Errorf("framing %q is not one of %v", f, f.Values())
}
