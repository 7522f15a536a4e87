package modbus_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// say writes to a line and returns what comes within a second.
func say(t *testing.T, e *sim.BusEnd, b []byte) []byte {
	t.Helper()
	if _, err := e.Write(b); err != nil {
		t.Fatal(err)
	}
	_ = e.SetReadDeadline(time.Now().Add(time.Second))
	var got []byte
	for buf := make([]byte, 64); ; {
		n, err := e.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
}

func TestServeStreamFrames(t *testing.T) {
	rtu := func(unit byte, pdu string) []byte { return modbus.AppendRTU(nil, unit, bin(t, pdu)) }
	ascii := func(unit byte, pdu string) []byte { return modbus.AppendASCII(nil, unit, bin(t, pdu)) }
	with := func(before []byte, frame []byte) []byte { return append(append([]byte(nil), before...), frame...) }
	for _, tt := range []struct {
		name    string
		framing modbus.Framing
		say     []byte
		want    []byte
	}{
		{"a request", modbus.RTU, rtu(17, "04 00 02 00 01"), rtu(17, "04 02 12 34")},
		{"to another unit", modbus.RTU, rtu(18, "04 00 02 00 01"), nil},
		{"a broadcast", modbus.RTU, rtu(0, "06 00 6B 00 01"), nil},
		{"an unknown function", modbus.RTU, rtu(17, "63 01 02 03"), rtu(17, "E3 01")},
		{"to another unit, unknown", modbus.RTU, rtu(18, "63 01 02 03"), nil},
		{"noise before it", modbus.RTU, with([]byte{0, 17, 6, 0xFF}, rtu(17, "04 00 02 00 01")), rtu(17, "04 02 12 34")},
		{"a byte too many", modbus.RTU, with(rtu(17, "04 00 02 00 01"), []byte{0}), nil},
		{"a wrong checksum", modbus.RTU, with(rtu(17, "04 00 02 00 01")[:7], []byte{0}), nil},
		{"an illegal quantity", modbus.RTU, rtu(17, "04 00 02 00 7E"), rtu(17, "84 03")},
		{"a byte count beyond a PDU", modbus.RTU, rtu(17, "10 00 6B 00 7F FF 00"), nil},
		{"a request", modbus.ASCII, ascii(17, "04 00 02 00 01"), ascii(17, "04 02 12 34")},
		{"lower case", modbus.ASCII, bytes.ToLower(ascii(17, "2B 0E 05 00")), ascii(17, "AB 03")},
		{"to another unit", modbus.ASCII, ascii(18, "04 00 02 00 01"), nil},
		{"a frame cut short before it", modbus.ASCII, with([]byte(":1104"), ascii(17, "04 00 02 00 01")), ascii(17, "04 02 12 34")},
		{"an unknown function", modbus.ASCII, ascii(17, "63 01 02 03"), ascii(17, "E3 01")},
	} {
		synctest.Test(t, func(t *testing.T) {
			bus := sim.NewBus(9600, 10)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			mine := func(unit byte) bool { return unit == 17 }
			go func() {
				done <- modbus.ServeStream(ctx, bus.Tie(), tt.framing, modbus.Timing{Baud: 9600, BitsPerChar: 10}, mine, meter())
			}()
			synctest.Wait()
			e := bus.Tie()
			if got := say(t, e, tt.say); !bytes.Equal(got, tt.want) {
				t.Errorf("%s, %s: answer % X, want % X", tt.framing, tt.name, got, tt.want)
			}
			time.Sleep(2 * time.Second) // in the bubble's time; what was no request is forgotten
			again, want := rtu(17, "63 00"), rtu(17, "E3 01")
			if tt.framing == modbus.ASCII {
				again, want = ascii(17, "63 00"), ascii(17, "E3 01")
			}
			if got := say(t, e, again); !bytes.Equal(got, want) {
				t.Errorf("%s, after %s: answer % X, want % X", tt.framing, tt.name, got, want)
			}
			cancel()
			is(t, "ServeStream", <-done, nil)
		})
	}
}

func TestServeStreamEndsWithPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port := sim.NewBus(9600, 10).Tie()
		done := make(chan error)
		go func() {
			done <- modbus.ServeStream(t.Context(), port, modbus.RTU, modbus.Timing{}, modbus.Units{}.Has, modbus.Units{})
		}()
		synctest.Wait()
		port.Close()
		is(t, "ServeStream", <-done, os.ErrClosed)
	})
	if err := modbus.ServeStream(t.Context(), sim.NewBus(0, 0).Tie(), modbus.TCP, modbus.Timing{}, nil, nil); err == nil {
		t.Error("ServeStream serves tcp")
	}
}

// failing is a unit whose handler does what it must not.
type failing struct{ reply modbus.PDU }

func (f failing) Serve(byte, modbus.PDU) (modbus.PDU, error) {
	if f.reply == nil {
		return nil, errors.New("the sensor is on fire")
	}
	return f.reply, nil
}

func TestHandlerFails(t *testing.T) {
	eachFraming(t, func(t *testing.T, f modbus.Framing) {
		c := line(t, f, modbus.Timing{}, modbus.Units{1: failing{}, 2: failing{modbus.PDU{}}, 3: failing{make(modbus.PDU, 254)}})
		for unit := byte(1); unit <= 3; unit++ {
			_, err := c.ReadRegisters(t.Context(), unit, modbus.ReadInputRegisters, 0, 1)
			is(t, "a handler that fails", err, modbus.DeviceFailure)
		}
	})
}

// serveTCP serves unit 17 on loopback.
func serveTCP(t *testing.T, limits modbus.Limits) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- modbus.ServeTCP(ctx, l, modbus.Units{17: meter()}, limits) }()
	t.Cleanup(func() {
		cancel()
		is(t, "ServeTCP", <-done, nil)
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

const readWord = "00 07 00 00 00 06 11 04 00 02 00 01"

// talk sends a request and returns the answer, or what came instead.
func talk(t *testing.T, conn net.Conn, req string) error {
	t.Helper()
	if _, err := conn.Write(bin(t, req)); err != nil {
		return err
	}
	want := bin(t, "00 07 00 00 00 05 11 04 02 12 34")
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		t.Errorf("answer % X, want % X", got, want)
	}
	return nil
}

func TestServeTCPLimits(t *testing.T) {
	addr := serveTCP(t, modbus.Limits{Connections: 2})
	first, second := dial(t, addr), dial(t, addr)
	is(t, "first", talk(t, first, readWord), nil)
	is(t, "second", talk(t, second, readWord), nil)
	is(t, "first again", talk(t, first, readWord), nil)
	third := dial(t, addr) // the place of the quietest, which is the second
	is(t, "third", talk(t, third, readWord), nil)
	if err := talk(t, second, readWord); err == nil {
		t.Error("three connections are served, want 2")
	}
	is(t, "first after all", talk(t, first, readWord), nil)
}

func TestServeTCPAllow(t *testing.T) {
	addr := serveTCP(t, modbus.Limits{Allow: func(net.Addr) bool { return false }})
	if err := talk(t, dial(t, addr), readWord); err == nil {
		t.Error("somebody who may not connect was answered")
	}
}

// Requests that come in one lot, or byte by byte, are answered in order; what
// is no frame ends the connection, and no other.
func TestServeTCPStream(t *testing.T) {
	addr := serveTCP(t, modbus.Limits{})
	conn, other := dial(t, addr), dial(t, addr)
	for _, b := range bin(t, readWord) {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write(bin(t, readWord+readWord)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3*11)
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	if err := talk(t, conn, "00 07 00 01 00 06 11 04 00 02 00 01"); err == nil {
		t.Error("protocol 1 was answered")
	}
	is(t, "another connection", talk(t, other, readWord), nil)
}

// A connection on which nothing is asked is closed, also if a byte comes now
// and then.
func TestServeTCPIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		l := &once{conn: far, closed: make(chan struct{})}
		done := make(chan error)
		go func() { done <- modbus.ServeTCP(ctx, l, modbus.Units{17: meter()}, modbus.Limits{Idle: time.Minute}) }()
		start := time.Now()
		for i := range 3 {
			time.Sleep(50 * time.Second) // in the bubble's time
			is(t, "a request in time", talk(t, near, readWord), nil)
			if i == 2 {
				start = time.Now()
			}
		}
		for _, b := range bin(t, "00 07 00 00 00 FE 11 04 00 00 00 00 00 00 00") { // of a frame of 260 bytes
			time.Sleep(7 * time.Second) // in the bubble's time
			if _, err := near.Write([]byte{b}); err != nil {
				break
			}
		}
		if took := time.Since(start); took < time.Minute || took > 70*time.Second {
			t.Errorf("closed after %v, want 1m0s", took)
		}
		cancel()
		is(t, "ServeTCP", <-done, nil)
	})
}

// flaky is a listener that is out of descriptors for a while.
type flaky struct {
	once
	fails int
}

func (l *flaky) Accept() (net.Conn, error) {
	if l.fails--; l.fails >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.once.Accept()
}

func TestServeTCPAccept(t *testing.T) {
	for fails, wantErr := range map[int]bool{0: false, 5: false, 50: true} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			ctx, cancel := context.WithCancel(t.Context())
			l := &flaky{once{conn: far, closed: make(chan struct{})}, fails}
			done := make(chan error, 1)
			go func() { done <- modbus.ServeTCP(ctx, l, modbus.Units{17: meter()}, modbus.Limits{}) }()
			if wantErr {
				if err := <-done; err == nil {
					t.Error("a listener that is lost is no error")
				}
			} else {
				is(t, "a request", talk(t, near, readWord), nil)
				cancel()
				is(t, "ServeTCP", <-done, nil)
			}
			cancel()
		})
	}
}
