package modbus_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"edge/internal/modbus"
)

// A reply to a read of n registers, with what happens to it on the way.
type damaged struct {
	framing modbus.Framing
	values  []uint16
	whole   []byte // the frame as it was sent
	pieces  []piece
	intact  bool // the whole frame is in what comes
}

func drawDamaged(t *rapid.T) damaged {
	d := damaged{
		framing: rapid.SampledFrom([]modbus.Framing{modbus.RTU, modbus.ASCII}).Draw(t, "framing"),
		values:  rapid.SliceOfN(rapid.Uint16(), 1, 8).Draw(t, "values"),
	}
	pdu := modbus.PDU{3, byte(2 * len(d.values))}
	for _, v := range d.values {
		pdu = append(pdu, byte(v>>8), byte(v))
	}
	d.whole, _ = modbus.AppendFrame(nil, d.framing, 0, 17, pdu)
	stream := slices.Clone(d.whole)
	for range rapid.IntRange(0, 3).Draw(t, "damages") {
		i := rapid.IntRange(0, len(stream)).Draw(t, "at")
		switch rapid.SampledFrom([]string{"flip", "cut", "drop", "insert", "noise before", "noise after"}).Draw(t, "damage") {
		case "flip":
			if i < len(stream) {
				stream[i] ^= rapid.ByteRange(1, 255).Draw(t, "mask")
			}
		case "cut":
			stream = stream[:i]
		case "drop":
			stream = slices.Delete(stream, i, min(i+rapid.IntRange(1, 4).Draw(t, "n"), len(stream)))
		case "insert":
			stream = slices.Insert(stream, i, noise.Draw(t, "noise")...)
		case "noise before":
			stream = append(slices.Clone(noise.Draw(t, "noise")), stream...)
		case "noise after":
			stream = append(stream, noise.Draw(t, "noise")...)
		}
	}
	d.intact = bytes.Contains(stream, d.whole)
	for len(stream) > 0 {
		n := rapid.IntRange(1, len(stream)).Draw(t, "piece")
		pause := time.Duration(rapid.IntRange(0, 40).Draw(t, "pause")) * time.Millisecond
		d.pieces = append(d.pieces, piece{pause, stream[:n]})
		stream = stream[n:]
	}
	return d
}

// noise likes what looks like a part of the reply.
var noise = rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{17, 3, 0x83, 2, 4, ':', '1', '3', '\r', '\n'})), 1, 12)

// forged reports whether the pieces hold another frame than the one that was
// sent that a client must take for the reply. It tries all there are, with a
// checksum of its own. That happens by accident to one damage in 65536.
func (d damaged) forged() bool {
	var all []byte
	for _, p := range d.pieces {
		all = append(all, p.bytes...)
	}
	for i := range all {
		for j := i + 4; j <= len(all); j++ {
			f := all[i:j]
			if bytes.Equal(f, d.whole) {
				continue
			}
			if d.framing == modbus.ASCII {
				unit, _, err := modbus.DecodeASCII(f)
				if err == nil && unit == 17 && !bytes.Equal(bytes.ToUpper(f), d.whole) {
					return true
				}
				continue
			}
			if f[0] == 17 && slowCRC(f) == 0 {
				return true
			}
		}
	}
	return false
}

// slowCRC is SL §6.2.2, bit by bit.
func slowCRC(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			odd := crc&1 != 0
			if crc >>= 1; odd {
				crc ^= 0xA001
			}
		}
	}
	return crc
}

// However a reply was damaged, the client returns what the unit said or an
// error, and the next request is answered. If the reply came whole, whatever
// came before it, the client has it.
func TestDamagedReplyIsNeverWrong(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawDamaged(rt)
		if d.forged() {
			rt.Skip("a checksum that fits by accident")
		}
		synctest.Test(t, func(t *testing.T) {
			c := scripted(t, d.framing, func(n int, req []byte) []piece {
				if n == 0 {
					return d.pieces
				}
				return []piece{{bytes: in(t, d.framing, req, 17, 3, 2, 0x12, 0x34)}}
			})
			got, err := c.ReadRegisters(t.Context(), 17, modbus.ReadHoldingRegisters, 0, uint16(len(d.values)))
			if err == nil && !slices.Equal(got, d.values) {
				rt.Errorf("wrong values: %04X, want %04X, of %v", got, d.values, d.pieces)
			}
			if err != nil && d.intact {
				rt.Errorf("the reply % X is in %v, and the client: %v", d.whole, d.pieces, err)
			}
			time.Sleep(2 * time.Second) // in the bubble's time
			again, err := c.ReadRegisters(t.Context(), 17, modbus.ReadHoldingRegisters, 0, 1)
			if err != nil || again[0] != 0x1234 {
				rt.Errorf("after %v: %04X, %v", d.pieces, again, err)
			}
		})
	})
}
