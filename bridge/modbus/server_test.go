package modbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/internal/modbus"
	"edge/internal/sim"
)

// pipes is a listener within the process, for a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(t *testing.T) *modbus.Client {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	p.conns <- far
	return modbus.NewClient(near, modbus.TCP, modbus.Timing{})
}

func parseServer(t testing.TB, text string) ServerConfig {
	t.Helper()
	return parseOver(t, DefaultServerConfig(), text)
}

// offer runs a server until the test ends and returns a broker and a client of it.
func offer(t *testing.T, text string) (*bridgetest.Client, *modbus.Client) {
	t.Helper()
	c, p := new(bridgetest.Client), newPipes()
	b := NewServer("edge/test/plc", parseServer(t, "listen: 127.0.0.1:1502\n"+text), slog.New(slog.DiscardHandler))
	b.listen = func(string) (net.Listener, error) { return p, nil }
	bridgetest.Run(t, c, b)
	bridgetest.Expect(t, c, "edge/test/plc/status", bridge.Online)
	return c, p.dial(t)
}

func say(t *testing.T, c *bridgetest.Client, entity, state string, q bridge.Quality) {
	t.Helper()
	base := bridge.Base("edge/test/porch")
	if err := bridge.PublishState(t.Context(), c, base, entity, state); err != nil {
		t.Fatal(err)
	}
	if err := bridge.PublishAttr(t.Context(), c, base, entity, bridge.Attr{Quality: q}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

const served = `
map:
  - {topic: porch/light, table: coil, address: 0, write: true}
  - {topic: porch/temperature, address: 10, format: s16, scale: 0.1, write: true}
  - {topic: edge/test/porch/energy, table: input, address: 20, format: f32, order: word}
  - {topic: porch/gate, address: 12, enum: {0: closed, 1: open}}
`

func TestServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := offer(t, served)
		ctx := t.Context()
		if got, err := client.ReadRegisters(ctx, 1, modbus.ReadHoldingRegisters, 10, 1); !errors.Is(err, modbus.DeviceFailure) {
			t.Errorf("what is not known is read as %v, %v, want exception 4", got, err)
		}
		say(t, c, "light", "ON", bridge.Good)
		say(t, c, "temperature", "-21.5", bridge.Good)
		say(t, c, "energy", "230.1", bridge.Good)
		say(t, c, "gate", "open", bridge.Good)
		if got, err := client.ReadBits(ctx, 1, modbus.ReadCoils, 0, 1); err != nil || !slices.Equal(got, []bool{true}) {
			t.Errorf("the light is %v, %v, want on", got, err)
		}
		for _, v := range []struct {
			fn      modbus.Function
			address uint16
			want    []uint16
		}{
			{modbus.ReadHoldingRegisters, 10, []uint16{0xFF29}},
			{modbus.ReadHoldingRegisters, 12, []uint16{1}},
			{modbus.ReadInputRegisters, 20, []uint16{0x199A, 0x4366}},
			{modbus.ReadInputRegisters, 21, []uint16{0x4366}},
		} {
			if got, err := client.ReadRegisters(ctx, 1, v.fn, v.address, uint16(len(v.want))); err != nil || !slices.Equal(got, v.want) {
				t.Errorf("%v %d is %#x, %v, want %#x", v.fn, v.address, got, err, v.want)
			}
		}
		if got, err := client.ReadRegisters(ctx, 1, modbus.ReadHoldingRegisters, 10, 3); !errors.Is(err, modbus.IllegalDataAddress) {
			t.Errorf("across a hole there is %v, %v, want exception 2", got, err)
		}
		if got, err := client.ReadBits(ctx, 2, modbus.ReadCoils, 0, 1); !errors.Is(err, modbus.GatewayTargetFailed) {
			t.Errorf("another unit says %v, %v, want exception 11", got, err)
		}
		say(t, c, "temperature", "-21.5", bridge.Bad)
		if got, err := client.ReadRegisters(ctx, 1, modbus.ReadHoldingRegisters, 10, 1); !errors.Is(err, modbus.DeviceFailure) {
			t.Errorf("what is stale is read as %v, %v, want exception 4", got, err)
		}
		bridgetest.Expect(t, c, "edge/test/plc/requests", "9")
	})
}

func TestServesSentinels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := offer(t, "unknown: sentinel\nstale: keep"+served)
		read := func(want uint16) {
			t.Helper()
			got, err := client.ReadRegisters(t.Context(), 1, modbus.ReadHoldingRegisters, 10, 1)
			if err != nil || got[0] != want {
				t.Errorf("the temperature is %#x, %v, want %#x", got, err, want)
			}
		}
		read(0x8000)
		say(t, c, "temperature", "1.5", bridge.Good)
		read(15)
		say(t, c, "temperature", "1.5", bridge.Bad)
		read(15)
		say(t, c, "temperature", "warm", bridge.Good)
		read(0x8000)
	})
}

func TestServesWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := offer(t, served)
		ctx := t.Context()
		say(t, c, "light", "OFF", bridge.Good)
		if err := client.WriteCoil(ctx, 1, 0, true); err != nil {
			t.Fatal(err)
		}
		bridgetest.Expect(t, c, "edge/test/porch/light/set", "ON")
		if got, err := client.ReadBits(ctx, 1, modbus.ReadCoils, 0, 1); err != nil || got[0] {
			t.Errorf("the light that was told to go on, and is not yet, is %v, %v", got, err)
		}
		for range 5 { // as a PLC does
			if err := client.WriteCoil(ctx, 1, 0, true); err != nil {
				t.Fatal(err)
			}
		}
		say(t, c, "light", "ON", bridge.Good)
		if err := client.WriteCoils(ctx, 1, 0, []bool{false}); err != nil {
			t.Fatal(err)
		}
		m := bridgetest.Await(t, c, "edge/test/porch/light/set", func(bridge.Message) bool { return true })
		if string(m.Payload) != "OFF" {
			t.Errorf("after six times ON the next command is %s, want OFF", m.Payload)
		}
		if err := client.WriteRegister(ctx, 1, 10, 0xFFFF); err != nil {
			t.Fatal(err)
		}
		bridgetest.Expect(t, c, "edge/test/porch/temperature/set", "-0.1")
		if err := client.WriteRegister(ctx, 1, 12, 1); !errors.Is(err, modbus.IllegalDataAddress) {
			t.Errorf("writing what cannot be written: %v, want exception 2", err)
		}
	})
}

// TestServesLine is a server on a line, which is asked by a bridge of our own.
func TestServesLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := sim.NewBus(9600, 10)
		tie := func(context.Context, *Config, *slog.Logger) (port, error) { return line.Tie(), nil }
		c := new(bridgetest.Client)
		b := NewServer("edge/test/plc", parseServer(t, "port: /dev/ttyS0\nunit: 17"+served), slog.New(slog.DiscardHandler))
		b.open = tie
		bridgetest.Run(t, c, b)
		bridgetest.Expect(t, c, "edge/test/plc/status", bridge.Online)
		say(t, c, "temperature", "21.5", bridge.Good)
		reader := New("edge/other/bus", parse(t, "port: /dev/ttyS1\nunits: [{unit: 17, entities: [{id: t, address: 10, format: s16, scale: 0.1}]}]"), slog.New(slog.DiscardHandler))
		reader.open = tie
		bridgetest.Run(t, c, reader)
		bridgetest.Expect(t, c, "edge/other/bus/t", "21.5")
	})
}

func TestAllowed(t *testing.T) {
	allow := (&ServerConfig{Allow: []string{"192.168.1.0/24", "fd00::1"}}).allowed()
	for address, want := range map[string]bool{
		"192.168.1.7:4000": true, "192.168.2.7:4000": false, "[::ffff:192.168.1.7]:4000": true,
		"[fd00::1]:4000": true, "[fd00::2]:4000": false,
	} {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := allow(a); got != want {
			t.Errorf("allowed(%s) = %t, want %t", address, got, want)
		}
	}
}

func TestServerConfigSaysWhere(t *testing.T) {
	one := []Served{{Topic: "porch/light", Table: Coil, Address: new(uint16(0))}}
	for _, v := range []struct {
		change func(*ServerConfig)
		want   string
	}{
		{func(*ServerConfig) {}, ""},
		{func(c *ServerConfig) { c.Listen = "" }, "listen: either listen or port must be set"},
		{func(c *ServerConfig) { c.Listen = ":502" }, "allow: must be set: others can reach :502, and Modbus knows no passwords"},
		{func(c *ServerConfig) { c.Listen, c.Allow = ":502", []string{"home"} }, `allow[0]: "home" is neither an address nor a network such as 192.168.1.0/24`},
		{func(c *ServerConfig) { c.Listen, c.Port = "", "tcp://a:502" }, `port: "tcp://a:502" is no serial port; use listen`},
		{func(c *ServerConfig) { c.Unit = 0 }, "unit: 0 is not between 1 and 247"},
		{func(c *ServerConfig) { c.Unknown = WithLast }, "unknown: there is no last value to keep; use exception or sentinel"},
		{func(c *ServerConfig) { c.Map = nil }, "map: there are 0; want 1 to 4096"},
		{func(c *ServerConfig) { c.Map[0].Topic = "light" }, `map[0].topic: "light" is neither BRIDGE/ENTITY nor the topic of a state`},
		{func(c *ServerConfig) { c.Map[0].Address = nil }, "map[0].address: must be set"},
		{func(c *ServerConfig) { c.Map[0].Kind = bridge.Cover }, `map[0].kind: "cover" is not one of switch, number, text`},
		{func(c *ServerConfig) { c.Map[0].Table, c.Map[0].Write = Discrete, true }, "map[0].write: nobody can write to table discrete; use coil or holding"},
		{func(c *ServerConfig) { c.Map = append(c.Map, c.Map[0]) }, "map[1].address: porch/light has these registers already"},
	} {
		c := DefaultServerConfig()
		c.Listen, c.Map = "127.0.0.1:502", slices.Clone(one)
		v.change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != v.want {
			t.Errorf("Validate:\n%s\nwant\n%s", got, v.want)
		}
	}
	if got := fmt.Sprint(ServerConfig{Map: one}.Reads()); got != "[+/+/porch/light +/+/porch/light/attr]" {
		t.Errorf("Reads = %s", got)
	}
}

// FuzzServe lets strangers ask.
func FuzzServe(f *testing.F) {
	f.Add(byte(1), []byte{3, 0, 10, 0, 1})
	f.Add(byte(0), []byte{5, 0, 0, 0xFF, 0})
	f.Add(byte(255), []byte{16, 0, 10, 0, 1, 2, 0x80, 0})
	f.Add(byte(1), []byte{22, 0, 10, 0, 0xF2, 0, 0x25})
	f.Add(byte(1), []byte{23, 0, 10, 0, 1, 0, 10, 0, 1, 2, 0, 7})
	f.Add(byte(1), []byte{43, 14, 1, 0})
	c := new(bridgetest.Client)
	d, err := newDesk(f.Context(), NewServer("edge/test/plc", parseServer(f, "listen: 127.0.0.1:1502"+served), nil), c)
	if err != nil {
		f.Fatal(err)
	}
	d.states[0], d.states[1] = known{state: "ON"}, known{state: "21.5"}
	f.Fuzz(func(t *testing.T, unit byte, req []byte) {
		if len(req) == 0 || len(req) > modbus.MaxPDU {
			return
		}
		reply, err := d.Serve(unit, req)
		if err == nil && (len(reply) == 0 || len(reply) > modbus.MaxPDU || reply[0] != req[0]) {
			t.Errorf("%x is answered by %x", req, reply)
		}
		var e modbus.Exception
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%x: %v is no exception", req, err)
		}
	})
}

func TestServerUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := sim.NewBus(9600, 10).Tie()
		b := NewServer("edge/test/plc", parseServer(t, "port: /dev/ttyS0"+served), slog.New(slog.DiscardHandler))
		b.open = func(context.Context, *Config, *slog.Logger) (port, error) { return end, nil }
		ended := make(chan error, 1)
		go func() { ended <- b.Run(t.Context(), new(bridgetest.Client)) }()
		synctest.Wait()
		start := time.Now()
		end.Close()
		if err := <-ended; err == nil || time.Since(start) > time.Second {
			t.Errorf("Run returned %v after %v, want an error at once", err, time.Since(start))
		}
	})
}
