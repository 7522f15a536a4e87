package modbus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"edge/bridge"
	"edge/internal/modbus"
)

// A Server is a unit whose registers are entities of the hub.
type Server struct {
	base bridge.Base
	cfg  ServerConfig
	log  *slog.Logger

	// What tests change.
	listen func(address string) (net.Listener, error)
	open   func(context.Context, *Config, *slog.Logger) (port, error)
}

var _ bridge.Bridge = (*Server)(nil)

// NewServer returns a bridge that speaks under base. It opens nothing; cfg must be
// valid.
func NewServer(base bridge.Base, cfg ServerConfig, log *slog.Logger) *Server {
	return &Server{
		base: base, cfg: cfg, log: log, open: openPort,
		listen: func(address string) (net.Listener, error) { return net.Listen("tcp", address) },
	}
}

// Run implements bridge.Bridge.
func (b *Server) Run(ctx context.Context, c bridge.Client) error {
	err := b.run(ctx, c)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (b *Server) run(ctx context.Context, c bridge.Client) error {
	g, serving := errgroup.WithContext(ctx)
	d, err := newDesk(serving, b, c)
	if err != nil {
		return err
	}
	serve, err := b.place(serving, d)
	if err != nil {
		return err
	}
	g.Go(func() error { return serve(serving) })
	g.Go(func() error {
		if err := d.listen(serving); err != nil {
			return err
		}
		if err := bridge.Announce(serving, c, b.device()); err != nil {
			return err
		}
		return d.tell(serving)
	})
	return g.Wait()
}

// place opens where the unit is asked and returns what serves there.
func (b *Server) place(ctx context.Context, d *desk) (serve func(context.Context) error, err error) {
	if b.cfg.Listen != "" {
		l, err := b.listen(b.cfg.Listen)
		if err != nil {
			return nil, err
		}
		limits := modbus.Limits{Connections: b.cfg.Connections, Allow: b.cfg.allowed()}
		return func(ctx context.Context) error { return modbus.ServeTCP(ctx, l, d, limits) }, nil
	}
	p, err := b.open(ctx, b.cfg.bus(), b.log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer p.Close()
		defer context.AfterFunc(ctx, func() { p.Close() })()
		mine := func(unit byte) bool { return unit == b.cfg.Unit }
		return modbus.ServeStream(ctx, p, b.cfg.Framing, b.cfg.bus().timing(publishTime), mine, d)
	}, nil
}

const requestsEntity = "requests"

func (b *Server) device() bridge.Device {
	return bridge.Device{Base: b.base, Model: "Modbus unit", Entities: []bridge.Entity{
		{ID: requestsEntity, Name: "Requests", Kind: bridge.Sensor, StateClass: bridge.TotalIncreasing},
	}}
}

// A desk answers requests from what the broker says.
type desk struct {
	cfg     *ServerConfig
	base    bridge.Base
	root    string // prefix and node
	client  bridge.Client
	shelves []*shelf
	memory  modbus.Memory
	asked   atomic.Uint64
	refused atomic.Uint64

	mu     sync.Mutex
	states []known // by shelf
}

// known is what is known of an entity.
type known struct {
	state string // empty: nothing
	bad   bool
	sent  string // the last command
	until time.Time
}

func newDesk(ctx context.Context, b *Server, c bridge.Client) (*desk, error) {
	shelves, err := b.cfg.shelves()
	if err != nil {
		return nil, err
	}
	root := string(b.base)
	if i := strings.LastIndexByte(root, '/'); i >= 0 {
		root = root[:i]
	}
	d := &desk{cfg: &b.cfg, base: b.base, root: root, client: c, shelves: shelves, states: make([]known, len(shelves))}
	for _, s := range shelves {
		d.memory.Set(cells[s.table()], *s.Address, s.absent...)
	}
	d.memory.OnRead = d.fetch
	d.memory.OnWrite = func(table modbus.Table, address uint16, values []uint16) error {
		return d.store(ctx, table, address, values)
	}
	return d, nil
}

// cells are the tables as package internal/modbus calls them.
var cells = map[Table]modbus.Table{
	Coil: modbus.Coils, Discrete: modbus.DiscreteInputs, Input: modbus.InputRegisters, Holding: modbus.HoldingRegisters,
}

// listen subscribes to the states and to what they are worth.
func (d *desk) listen(ctx context.Context) error {
	for i, s := range d.shelves {
		name := s.absolute(d.root)
		err := d.client.Subscribe(ctx, name, func(m bridge.Message) {
			d.note(i, func(k *known) { k.state = string(m.Payload) })
		})
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", name, err)
		}
		err = d.client.Subscribe(ctx, name+"/attr", func(m bridge.Message) {
			var a bridge.Attr
			bad := len(m.Payload) > 0 && json.Unmarshal(m.Payload, &a) == nil && a.Quality != bridge.Good
			d.note(i, func(k *known) { k.bad = bad })
		})
		if err != nil {
			return fmt.Errorf("subscribe to %s/attr: %w", name, err)
		}
	}
	return nil
}

func (d *desk) note(i int, change func(*known)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.states[i])
}

// Serve implements modbus.Handler. On TCP, 0 and 255 are the server itself
// (Modbus Messaging on TCP/IP V1.0b, section 4.4.2.1).
func (d *desk) Serve(unit byte, req modbus.PDU) (modbus.PDU, error) {
	d.asked.Add(1)
	if unit != d.cfg.Unit && unit != modbus.Broadcast && unit != 255 {
		d.refused.Add(1)
		return nil, modbus.GatewayTargetFailed
	}
	reply, err := d.memory.Serve(unit, req)
	if err != nil {
		d.refused.Add(1)
	}
	return reply, err
}

// within calls do for each shelf that has some of these registers, until it fails.
func (d *desk) within(table modbus.Table, address, count int, do func(i int, s *shelf) error) error {
	for i, s := range d.shelves {
		if cells[s.table()] == table && int(*s.Address) < address+count && address < s.end() {
			if err := do(i, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetch puts what is known into the memory before it is read.
func (d *desk) fetch(table modbus.Table, address, count uint16) error {
	return d.within(table, int(address), int(count), func(i int, s *shelf) error {
		d.mu.Lock()
		k := d.states[i]
		d.mu.Unlock()
		words, err := s.words(k, d.cfg)
		if err == nil {
			d.memory.Set(table, *s.Address, words...)
		}
		return err
	})
}

// words returns the registers of an entity, or the exception where there are none.
func (s *shelf) words(k known, c *ServerConfig) ([]uint16, error) {
	absent := c.Unknown
	if k.bad && k.state != "" {
		absent = c.Stale
	}
	if k.state != "" && (!k.bad || absent == WithLast) {
		if o, err := s.encode(k.state, "", 0); err == nil {
			return o.words, nil
		}
		absent = c.Unknown // It is nothing that these registers can say.
	}
	if absent == WithSentinel {
		return s.absent, nil
	}
	return nil, modbus.DeviceFailure
}

// store makes commands of what a client writes. A value of several registers must be
// written as a whole: half of it would be another one.
func (d *desk) store(ctx context.Context, table modbus.Table, address uint16, values []uint16) error {
	type command struct {
		i     int
		value string
	}
	var commands []command
	err := d.within(table, int(address), len(values), func(i int, s *shelf) error {
		from := int(*s.Address) - int(address)
		if !s.Write {
			return modbus.IllegalDataAddress
		}
		if from < 0 || from+s.count > len(values) {
			return modbus.IllegalDataValue
		}
		value, err := s.decode(values[from:from+s.count], 0)
		if err != nil {
			return modbus.IllegalDataValue
		}
		commands = append(commands, command{i, value})
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range commands {
		if err := d.command(ctx, c.i, c.value); err != nil {
			return modbus.DeviceFailure
		}
	}
	return nil
}

// again is when a command that is written over and over is sent once more, though
// the entity has not become what it says.
const again = 10 * time.Second

// command sends value to an entity, if it is not that already: a PLC writes its
// outputs in each of its cycles.
func (d *desk) command(ctx context.Context, i int, value string) error {
	now := time.Now()
	d.mu.Lock()
	k := &d.states[i]
	is := !k.bad && k.state == value && (k.sent == value || !now.Before(k.until))
	repeated := k.sent == value && now.Before(k.until)
	if !is && !repeated {
		k.sent, k.until = value, now.Add(again)
	}
	d.mu.Unlock()
	if is || repeated {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	err := d.client.Publish(ctx, bridge.Message{Topic: d.shelves[i].absolute(d.root) + "/set", Payload: []byte(value), QoS: 1, Text: true})
	if err != nil {
		d.note(i, func(k *known) { k.until = now })
	}
	return err
}

// tell publishes how many requests there were, now and then.
func (d *desk) tell(ctx context.Context) error {
	clock := time.NewTicker(loadWindow)
	defer clock.Stop()
	last := ^uint64(0)
	for {
		if n := d.asked.Load(); n != last {
			last = n
			if err := bridge.PublishState(ctx, d.client, d.base, requestsEntity, fmt.Sprint(n)); err != nil {
				return err
			}
			attr := bridge.Attr{Counters: map[string]uint64{"refused": d.refused.Load()}}
			if err := bridge.PublishAttr(ctx, d.client, d.base, requestsEntity, attr); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-clock.C:
		}
	}
}
