package modbus_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// A piece is what a far end sends, after a pause.
type piece struct {
	pause time.Duration
	bytes []byte
}

// scripted returns a client whose far end answers the n-th request with
// what script returns for it.
func scripted(t *testing.T, f modbus.Framing, script func(n int, req []byte) []piece) *modbus.Client {
	t.Helper()
	bus := sim.NewBus(0, 0)
	near, far := bus.Tie(), bus.Tie()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 600)
		for n := 0; ; n++ {
			m, err := far.Read(buf)
			if err != nil {
				return
			}
			for _, p := range script(n, slices.Clone(buf[:m])) {
				time.Sleep(p.pause) // in the bubble's time
				if _, err := far.Write(p.bytes); err != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		far.Close()
		near.Close()
		<-done
	})
	return modbus.NewClient(near, f, modbus.Timing{})
}

// in wraps a PDU as the reply to req.
func in(t *testing.T, f modbus.Framing, req []byte, unit byte, pdu ...byte) []byte {
	t.Helper()
	var transaction uint16
	if f == modbus.TCP {
		transaction = uint16(req[0])<<8 | uint16(req[1])
	}
	b, err := modbus.AppendFrame(nil, f, transaction, unit, pdu)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readTwo reads registers 0x0400 and 0x0401 of unit 17; the address is such
// that an echo of the request begins like the reply.
func readTwo(ctx context.Context, c *modbus.Client) ([]uint16, error) {
	return c.ReadRegisters(ctx, 17, modbus.ReadHoldingRegisters, 0x0400, 2)
}

var two = []byte{3, 4, 0xAB, 0xCD, 17, 3} // its data look like the begin of a reply

// A reply that comes in two parts, cut anywhere, is one; and so it is when
// each byte comes for itself.
func TestReplyInParts(t *testing.T) {
	eachFraming(t, func(t *testing.T, f modbus.Framing) {
		pause := 40 * time.Millisecond
		var size int
		c := scripted(t, f, func(n int, req []byte) (parts []piece) {
			reply := in(t, f, req, 17, two...)
			size = len(reply)
			if n == size {
				for i := range reply {
					parts = append(parts, piece{20 * time.Millisecond, reply[i : i+1]})
				}
				return parts
			}
			return []piece{{pause, reply[:n]}, {pause, reply[n:]}}
		})
		for n := 0; n == 0 || n <= size; n++ {
			regs, err := readTwo(t.Context(), c)
			if err != nil || !slices.Equal(regs, []uint16{0xABCD, 0x1103}) {
				t.Errorf("cut at %d of %d: %04X, %v", n, size, regs, err)
			}
		}
	})
}

func TestWhatIsNoReply(t *testing.T) {
	type script func(f modbus.Framing, req []byte) []piece
	one := func(unit byte, pdu ...byte) script {
		return func(f modbus.Framing, req []byte) []piece { return []piece{{bytes: in(t, f, req, unit, pdu...)}} }
	}
	// change damages the reply.
	change := func(how func(b []byte) []byte) script {
		return func(f modbus.Framing, req []byte) []piece { return []piece{{bytes: how(in(t, f, req, 17, two...))}} }
	}
	for _, tt := range []struct {
		name       string
		script     script
		rtu, ascii modbus.Kind // tcp has no checksum
		tcp        modbus.Kind
		quick      bool // it is the end of the answer: nothing is waited for
	}{
		{"another unit", one(18, two...), modbus.ForeignUnit, modbus.ForeignUnit, modbus.ForeignUnit, false},
		{"another function", one(17, 4, 4, 1, 2, 3, 4), modbus.ForeignFunction, modbus.ForeignFunction, modbus.ForeignFunction, false},
		{"one register more", one(17, 3, 6, 1, 2, 3, 4, 5, 6), modbus.ForeignContent, modbus.ForeignContent, modbus.ForeignContent, false},
		{"one bit", change(func(b []byte) []byte { b[len(b)-3] ^= 1; return b }), modbus.Checksum, modbus.Checksum, "", true},
		{"a part", change(func(b []byte) []byte { return b[:len(b)-3] }), modbus.Short, modbus.Short, "", true},
		{"two bytes", change(func([]byte) []byte { return []byte{0x55, 0xAA} }), modbus.Short, modbus.Short, "", false},
		{"noise", change(func([]byte) []byte { return []byte{0xFF, 0x55, 0xAA, 0x7E, 0x01, 0x80, 0x33, 0x44, 0x99} }), modbus.Checksum, modbus.Checksum, modbus.Header, false},
	} {
		for f, want := range map[modbus.Framing]modbus.Kind{modbus.RTU: tt.rtu, modbus.ASCII: tt.ascii, modbus.TCP: tt.tcp} {
			if want == "" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				c := scripted(t, f, func(n int, req []byte) []piece {
					if n == 0 {
						return tt.script(f, req)
					}
					return []piece{{bytes: in(t, f, req, 17, two...)}}
				})
				start := time.Now()
				regs, err := readTwo(t.Context(), c)
				if took := time.Since(start); tt.quick && f == modbus.RTU && took > 200*time.Millisecond {
					t.Errorf("%s, %s: that took %v", f, tt.name, took)
				}
				if got := kindOf(err); got != string(want) && kindOf(err) != "the connection is out of step: "+string(want) {
					t.Errorf("%s, %s: %04X, %v, want %s", f, tt.name, regs, err, want)
				}
				if _, err := readTwo(t.Context(), c); (err != nil) != (want == modbus.Header) {
					t.Errorf("%s, after %s: %v", f, tt.name, err)
				}
			})
		}
	}
}

// Noise before a reply, foreign frames and a byte that looks like its
// beginning are passed over.
func TestNoiseBeforeReply(t *testing.T) {
	for _, f := range []modbus.Framing{modbus.RTU, modbus.ASCII} {
		for _, noise := range [][]byte{
			{0xFF},
			{0x00, 0x00},
			{17},
			{17, 3},
			{17, 3, 4},
			{17, 3, 4, 9, 9, 9, 9},
			{17, 0x83},
			{':'},
			[]byte(":1103"), []byte("\r\n:\n"),
			modbus.AppendRTU(nil, 18, two), modbus.AppendRTU(nil, 17, []byte{3, 2, 1, 2}),
			modbus.AppendASCII(nil, 18, two),
		} {
			synctest.Test(t, func(t *testing.T) {
				c := scripted(t, f, func(_ int, req []byte) []piece {
					return []piece{{bytes: noise}, {30 * time.Millisecond, in(t, f, req, 17, two...)}}
				})
				regs, err := readTwo(t.Context(), c)
				if err != nil || !slices.Equal(regs, []uint16{0xABCD, 0x1103}) {
					t.Errorf("%s after % X: %04X, %v", f, noise, regs, err)
				}
			})
		}
	}
}

// A bit of noise does not shorten the time that a unit has, nor do the answers
// of others, whatever is in them.
func TestNoiseLongBeforeReply(t *testing.T) {
	foreign := modbus.AppendRTU(nil, 18, two)
	for _, noise := range [][]byte{{0xFE, 17}, foreign, append(modbus.AppendRTU(nil, 19, modbus.PDU{6, 17, 3, 17, 3}), foreign...)} {
		synctest.Test(t, func(t *testing.T) {
			c := scripted(t, modbus.RTU, func(_ int, req []byte) []piece {
				return []piece{{bytes: noise}, {900 * time.Millisecond, in(t, modbus.RTU, req, 17, two...)}}
			})
			if _, err := readTwo(t.Context(), c); err != nil {
				t.Errorf("after % X: %v", noise, err)
			}
		})
	}
}

// A line that talks without end holds nobody up for ever.
func TestStormOnTheLine(t *testing.T) {
	for _, f := range []modbus.Framing{modbus.RTU, modbus.ASCII} {
		synctest.Test(t, func(t *testing.T) {
			timing := modbus.Timing{Baud: 9600, BitsPerChar: 10}
			bus := sim.NewBus(9600, 10)
			storm := bus.Tie()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for ctx.Err() == nil {
					_, _ = storm.Write([]byte{17, 3, ':'})
					_ = storm.Drain(ctx)
				}
			}()
			c := modbus.NewClient(bus.Tie(), f, timing)
			start := time.Now()
			_, err := readTwo(ctx, c)
			if f == modbus.RTU && kindOf(err) != string(modbus.NoSilence) || kindOf(err) == "" {
				t.Errorf("%s: %v", f, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: given up after %v", f, took)
			}
		})
	}
}

// Much noise before a reply does not hide it.
func TestMuchNoiseBeforeReply(t *testing.T) {
	for _, f := range []modbus.Framing{modbus.RTU, modbus.ASCII} {
		synctest.Test(t, func(t *testing.T) {
			c := scripted(t, f, func(_ int, req []byte) (parts []piece) {
				for i := range 150 {
					lot := bytes.Repeat([]byte{0x55, byte(i)}, 50)
					parts = append(parts, piece{5 * time.Millisecond, lot})
				}
				return append(parts, piece{0, in(t, f, req, 17, two...)})
			})
			if _, err := readTwo(t.Context(), c); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		})
	}
}

// In a network connection a reply may pause for as long as the network does.
func TestReplyInPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		go func() {
			defer far.Close()
			req := make([]byte, 8)
			if _, err := io.ReadFull(far, req); err != nil {
				return
			}
			reply := modbus.AppendRTU(nil, 17, two)
			_, _ = far.Write(reply[:4])
			time.Sleep(900 * time.Millisecond) // in the bubble's time
			_, _ = far.Write(reply[4:])
		}()
		if _, err := readTwo(t.Context(), modbus.NewClient(near, modbus.RTU, modbus.Timing{})); err != nil {
			t.Error(err)
		}
	})
}

// The confirmation of another write is none of this, and is passed over on a
// line.
func TestConfirmationOfAnotherWrite(t *testing.T) {
	eachFraming(t, func(t *testing.T, f modbus.Framing) {
		for _, req := range []string{
			"05 00 AC FF 00", "06 00 01 00 03", "0F 00 13 00 0A 02 CD 01", "10 00 01 00 02 04 00 0A 01 02", "16 00 04 00 F2 00 25",
		} {
			pdu := modbus.PDU(bin(t, req))
			right := pdu[:5]
			if pdu.Function() == modbus.MaskWriteRegister {
				right = pdu
			}
			wrong := bytes.Clone(right)
			wrong[len(wrong)-1] ^= 4
			late := false
			c := scripted(t, f, func(_ int, req []byte) []piece {
				if late && f != modbus.TCP {
					return []piece{{bytes: in(t, f, req, 17, wrong...)}, {20 * time.Millisecond, in(t, f, req, 17, right...)}}
				}
				return []piece{{bytes: in(t, f, req, 17, wrong...)}}
			})
			_, err := c.Do(t.Context(), 17, pdu)
			if got := kindOf(err); got != string(modbus.ForeignContent) {
				t.Errorf("%s: % X for % X: %v", f, wrong, req, err)
			}
			if late = true; f == modbus.TCP {
				continue
			}
			reply, err := c.Do(t.Context(), 17, pdu)
			if err != nil || !bytes.Equal(reply, right) {
				t.Errorf("%s: % X, %v, want % X", f, reply, err, right)
			}
		}
	})
}

// A connection that is out of step stays so.
func TestConnectionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := scripted(t, modbus.TCP, func(int, []byte) []piece {
			asked++
			return []piece{{bytes: bin(t, "00 01 00 00 00 00")}}
		})
		for range 2 {
			_, err := readTwo(t.Context(), c)
			is(t, "a header that is none", err, modbus.ErrLost)
		}
		if asked != 1 {
			t.Errorf("the server was asked %d times, want 1", asked)
		}
	})
}
