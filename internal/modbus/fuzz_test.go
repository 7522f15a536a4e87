package modbus_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// seeds are frames, and what is nearly one.
func seeds(f *testing.F) {
	for _, tt := range frames {
		if tt.framing == modbus.ASCII {
			f.Add([]byte(tt.frame))
			continue
		}
		f.Add(bin(f, tt.frame))
		f.Add(append([]byte{17, 3}, bin(f, tt.frame)...))
	}
	for _, tt := range requests {
		pdu := bin(f, tt.pdu)
		f.Add(modbus.AppendRTU(nil, 17, pdu))
		f.Add(modbus.AppendASCII(nil, 17, pdu))
		f.Add(modbus.AppendTCP(nil, 1, 17, pdu))
	}
	for _, reply := range []string{"83 02", "03 04 AB CD 11 03", "2B 0E 01 81 00 00 01 00 01 41", "03 FF"} {
		f.Add(modbus.AppendRTU(nil, 17, bin(f, reply)))
		f.Add(modbus.AppendASCII(nil, 17, bin(f, reply)))
		f.Add(modbus.AppendTCP(nil, 1, 17, bin(f, reply)))
	}
}

// What is decoded is what would be sent.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if unit, pdu, err := modbus.DecodeRTU(b); err == nil && !bytes.Equal(modbus.AppendRTU(nil, unit, pdu), b) {
			t.Errorf("% X is unit %d, % X", b, unit, pdu)
		}
		if unit, pdu, err := modbus.DecodeASCII(b); err == nil && !bytes.Equal(modbus.AppendASCII(nil, unit, pdu), bytes.ToUpper(b)) {
			t.Errorf("%q is unit %d, % X", b, unit, pdu)
		}
		frame, n, err := modbus.DecodeTCP(b)
		if err == nil && n > 0 && !bytes.Equal(modbus.AppendTCP(nil, frame.Transaction, frame.Unit, frame.PDU), b[:n]) {
			t.Errorf("% X is %+v", b[:n], frame)
		}
	})
}

// A request that is taken is one that a client could have made.
func FuzzParseRequest(f *testing.F) {
	for _, tt := range requests {
		f.Add(bin(f, tt.pdu))
	}
	f.Add([]byte{23, 0, 0, 0, 1, 0, 0, 0, 125, 250})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := modbus.ParseRequest(b)
		if err != nil {
			if _, ok := errors.AsType[modbus.Exception](err); !ok {
				t.Errorf("% X: %v is no exception", b, err)
			}
			return
		}
		back, err := r.PDU()
		// The last byte of function 15 has bits that nobody asked about.
		if r.Function == modbus.WriteMultipleCoils && r.Count%8 != 0 {
			back[len(back)-1], b[len(b)-1] = 0, 0
		}
		if err != nil || !bytes.Equal(back, b) {
			t.Errorf("% X is %+v, which is % X, %v", b, r, back, err)
		}
	})
}

// Whatever a client hears, it ends, and returns nothing that was not said.
func FuzzClient(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, framing := range []modbus.Framing{modbus.RTU, modbus.ASCII, modbus.TCP} {
			synctest.Test(t, func(t *testing.T) {
				c := scripted(t, framing, func(int, []byte) []piece { return []piece{{bytes: b}} })
				pdu, err := c.Do(t.Context(), 17, modbus.PDU{99, 1, 2})
				if err != nil {
					return
				}
				said := b
				if framing == modbus.ASCII {
					said, pdu = bytes.ToUpper(b), modbus.AppendASCII(nil, 17, pdu)
				}
				if !bytes.Contains(said, pdu) {
					t.Errorf("%s: of % X the reply is % X", framing, b, pdu)
				}
				_, _ = c.Identification(t.Context(), 17, modbus.Basic)
			})
		}
	})
}

// Whatever a server hears, it goes on, and obeys nothing that was not said.
func FuzzServeStream(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, framing := range []modbus.Framing{modbus.RTU, modbus.ASCII} {
			synctest.Test(t, func(t *testing.T) {
				bus := sim.NewBus(0, 0)
				heard := &recorder{}
				serveBus(t, bus, framing, modbus.Timing{}, sim.NewUnit(17, heard))
				synctest.Wait()
				e := bus.Tie()
				_ = say(t, e, b)
				for _, pdu := range heard.pdus {
					unit := modbus.AppendRTU(nil, 17, pdu)
					broadcast := modbus.AppendRTU(nil, 0, pdu)
					said := b
					if framing == modbus.ASCII {
						unit, broadcast = modbus.AppendASCII(nil, 17, pdu), modbus.AppendASCII(nil, 0, pdu)
						said = bytes.ToUpper(b)
					}
					if !bytes.Contains(said, unit) && !bytes.Contains(said, broadcast) {
						t.Errorf("%s: of % X the server obeyed % X", framing, b, pdu)
					}
				}
				_ = say(t, e, bytes.Repeat([]byte{0xFF}, 10))
				n := len(heard.pdus)
				frame, _ := modbus.AppendFrame(nil, framing, 0, 17, modbus.PDU{6, 0, 0, 0, 1})
				if _ = say(t, e, frame); len(heard.pdus) != n+1 {
					t.Errorf("%s: after % X nothing is heard any more", framing, b)
				}
			})
		}
	})
}

// A recorder keeps what it is asked.
type recorder struct{ pdus []modbus.PDU }

func (r *recorder) Serve(_ byte, req modbus.PDU) (modbus.PDU, error) {
	r.pdus = append(r.pdus, bytes.Clone(req))
	return nil, modbus.ErrSilent
}
