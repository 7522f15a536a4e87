package modbus_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/internal/modbus"
)

// patient is a line between programs on a machine that has other things to do.
var patient = modbus.Timing{Baud: 115200, BitsPerChar: 10, Timeout: time.Minute, Gap: time.Minute}

// unit is what both sides are when they are servers.
func unit() *modbus.Memory {
	m := &modbus.Memory{}
	m.Set(modbus.Coils, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1)
	m.Set(modbus.DiscreteInputs, 100, 0, 1, 0)
	m.Set(modbus.HoldingRegisters, 107, 555, 0, 100, 18)
	m.Set(modbus.InputRegisters, 0, 17254, 13107, 4660)
	m.Identify(map[byte]string{modbus.VendorName: "edge", modbus.ProductCode: "M", modbus.Revision: "1.0"})
	return m
}

// answers are what a client prints who asks for all of it.
const answers = `1 0 1 1 0 0 0 0 1 1
0 1 0
555 0 100
17254 13107 4660
ok
ok
1 1 0 0 1
ok
ok
exception 2
exception 2
`

// more is what those print who have functions 22 and 23.
const more = "ok\n6 7 8 23\n"

// Their clients ask our server. What each cannot ask for is left out.
func TestServer(t *testing.T) {
	const identification = "edge M 1.0\n"
	for _, tt := range []struct {
		peer    peer
		framing string
		want    string
	}{
		{libmodbus, "tcp", answers + more},
		{libmodbus, "rtu", answers + more},
		{modbusSerial, "tcp", answers + more + identification},
		{modbusSerial, "rtu", answers + identification},
		{modbusSerial, "ascii", answers},
		{modbusSerial, "rtu-tcp", answers},
		{pymodbus, "rtu", answers},
		{pymodbus, "ascii", answers},
	} {
		t.Run(tt.peer.name+"/"+tt.framing, func(t *testing.T) {
			t.Parallel()
			m := unit()
			got := tt.peer.asks(t, tt.framing, serve(t, tt.framing, m))
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			want := []uint16{555, 7, 8, 18}
			if strings.Contains(tt.want, more) {
				want = []uint16{6, 7, 8, 23}
			}
			registers, err := m.Get(modbus.HoldingRegisters, 107, 4)
			check(t, "registers afterwards", registers, err, want)
			coils, err := m.Get(modbus.Coils, 0, 10)
			check(t, "coils afterwards", coils, err, []uint16{1, 1, 0, 0, 1, 0, 0, 0, 1, 1})
		})
	}
}

// serve is unit 17 until the test ends, and returns the port for the client.
func serve(t testing.TB, framing string, m *modbus.Memory) (port string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	units := modbus.Units{17: m}
	switch framing {
	case "tcp":
		l, p := listen(t)
		port = p
		go func() { done <- modbus.ServeTCP(ctx, l, units, modbus.Limits{}) }()
	case "rtu-tcp":
		l, p := listen(t)
		port = p
		go func() { done <- serveAccepted(ctx, l, units) }()
	default:
		pty := newPTY(t)
		port = pty.Port()
		go func() { done <- modbus.ServeStream(ctx, pty, modbus.Framing(framing), patient, units.Has, units) }()
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	return port
}

// serveAccepted serves RTU in the first connection.
func serveAccepted(ctx context.Context, l net.Listener, units modbus.Units) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	err = modbus.ServeStream(ctx, conn, modbus.RTU, patient, units.Has, units)
	if errors.Is(err, io.EOF) {
		return nil // the client has all answers
	}
	return err
}

// Our client asks their servers. What each does not have is left out.
func TestClient(t *testing.T) {
	for _, tt := range []struct {
		peer           peer
		framing        modbus.Framing
		more, identify bool // functions 22 and 23; 43
	}{
		{libmodbus, modbus.TCP, true, false},
		{libmodbus, modbus.RTU, true, false},
		{modbusSerial, modbus.TCP, false, true},
		{modbusSerial, modbus.RTU, false, true},
		{pymodbus, modbus.RTU, true, true},
		{pymodbus, modbus.ASCII, true, true},
	} {
		t.Run(tt.peer.name+"/"+string(tt.framing), func(t *testing.T) {
			t.Parallel()
			c := modbus.NewClient(connect(t, tt.peer, tt.framing), tt.framing, patient)
			ask(t, c)
			if tt.identify {
				who, err := c.Identification(t.Context(), 17, modbus.Basic)
				check(t, "identification", who, err, map[byte]string{0: "edge", 1: "M", 2: "1.0"})
			}
			if tt.more {
				err := c.MaskWrite(t.Context(), 17, 110, 0xF2, 0x25)
				check(t, "mask", nil, err, nil)
				registers, err := c.ReadWriteRegisters(t.Context(), 17, 107, 4, 107, []uint16{6})
				check(t, "read and write", registers, err, []uint16{6, 7, 8, 23})
			}
		})
	}
}

// connect starts a server and returns the way to it.
func connect(t *testing.T, p peer, framing modbus.Framing) modbus.Port {
	t.Helper()
	if framing != modbus.TCP {
		pty := newPTY(t)
		p.serves(t, string(framing), pty.Port())
		return pty
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+p.serves(t, string(framing), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ask asks for what every server has.
func ask(t *testing.T, c *modbus.Client) {
	t.Helper()
	ctx := t.Context()
	bits, err := c.ReadBits(ctx, 17, modbus.ReadCoils, 0, 10)
	check(t, "coils", bits, err, []bool{true, false, true, true, false, false, false, false, true, true})
	bits, err = c.ReadBits(ctx, 17, modbus.ReadDiscreteInputs, 100, 3)
	check(t, "inputs", bits, err, []bool{false, true, false})
	registers, err := c.ReadRegisters(ctx, 17, modbus.ReadHoldingRegisters, 107, 3)
	check(t, "holding", registers, err, []uint16{555, 0, 100})
	registers, err = c.ReadRegisters(ctx, 17, modbus.ReadInputRegisters, 0, 3)
	check(t, "input", registers, err, []uint16{17254, 13107, 4660})
	check(t, "write coil", nil, c.WriteCoil(ctx, 17, 1, true), nil)
	check(t, "write coils", nil, c.WriteCoils(ctx, 17, 2, []bool{false, false, true}), nil)
	bits, err = c.ReadBits(ctx, 17, modbus.ReadCoils, 0, 5)
	check(t, "coils", bits, err, []bool{true, true, false, false, true})
	check(t, "write register", nil, c.WriteRegister(ctx, 17, 108, 7), nil)
	check(t, "write registers", nil, c.WriteRegisters(ctx, 17, 109, []uint16{8, 18}), nil)
	registers, err = c.ReadRegisters(ctx, 17, modbus.ReadHoldingRegisters, 107, 4)
	check(t, "holding", registers, err, []uint16{555, 7, 8, 18})
	_, err = c.ReadRegisters(ctx, 17, modbus.ReadHoldingRegisters, 1000, 1)
	if !errors.Is(err, modbus.IllegalDataAddress) {
		t.Errorf("a register that is not there: %v, want %v", err, modbus.IllegalDataAddress)
	}
}

func check(t *testing.T, what string, got any, err error, want any) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
