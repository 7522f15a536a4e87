package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"edge/internal/modbus"
)

// A Fault is what is wrong with a Unit.
type Fault string

// The faults of a Unit.
const (
	Healthy  Fault = ""
	Dead     Fault = "dead"     // says nothing
	Garbling Fault = "garbling" // answers with as many bytes as it should, which are noise
)

// A Unit is a Modbus unit on a Bus. What it is, its Handler knows: a
// modbus.Memory, say.
type Unit struct {
	id      byte
	handler modbus.Handler

	mu    sync.Mutex
	fault Fault
	delay time.Duration
	asked int
}

// NewUnit returns a healthy unit that answers at once.
func NewUnit(id byte, h modbus.Handler) *Unit { return &Unit{id: id, handler: h} }

// Break makes a unit faulty, or Healthy again.
func (u *Unit) Break(f Fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = f
}

// Slow makes a unit answer after d, which may be longer than the client waits.
func (u *Unit) Slow(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.delay = d
}

// Asked returns how many requests have come for this unit, broadcasts included.
func (u *Unit) Asked() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked
}

func (u *Unit) ask() (Fault, time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	return u.fault, u.delay
}

// Serve ties units to the bus until ctx ends. They are silent between frames as
// t says, whose rate should be that of the bus.
func (b *Bus) Serve(ctx context.Context, f modbus.Framing, t modbus.Timing, units ...*Unit) error {
	ear := b.Tie()
	defer ear.Close()
	s := &station{done: ctx.Done(), framing: f, units: map[byte]*Unit{}, mouths: map[byte]*BusEnd{}}
	for _, u := range units {
		s.units[u.id] = u
		s.mouths[u.id] = b.tie(&BusEnd{deaf: ear})
		defer s.mouths[u.id].Close()
	}
	s.noise = rand.New(rand.NewPCG(uint64(len(units)), 1979))
	defer s.late.Wait()
	return modbus.ServeStream(ctx, ear, f, t, s.has, s)
}

// A station is the units of one Serve. They hear with one ear, and each has its
// own mouth, so that two who answer at once clash.
type station struct {
	done    <-chan struct{}
	framing modbus.Framing
	units   map[byte]*Unit
	mouths  map[byte]*BusEnd
	noise   *rand.Rand
	late    sync.WaitGroup
}

func (s *station) has(unit byte) bool { return s.units[unit] != nil }

// Serve implements modbus.Handler. It is always silent, since units answer with
// their own mouth.
func (s *station) Serve(unit byte, req modbus.PDU) (modbus.PDU, error) {
	if unit != modbus.Broadcast {
		s.obey(s.units[unit], req, true)
		return nil, modbus.ErrSilent
	}
	for _, u := range s.units {
		s.obey(u, req, false)
	}
	return nil, modbus.ErrSilent
}

func (s *station) obey(u *Unit, req modbus.PDU, answers bool) {
	fault, delay := u.ask()
	if fault == Dead {
		return
	}
	reply, err := u.handler.Serve(u.id, req)
	if errors.Is(err, modbus.ErrSilent) || !answers {
		return
	}
	if err != nil {
		var e modbus.Exception
		if !errors.As(err, &e) {
			e = modbus.DeviceFailure
		}
		reply = modbus.PDU{req[0] | 0x80, byte(e)}
	}
	frame, err := modbus.AppendFrame(nil, s.framing, 0, u.id, reply)
	if err != nil {
		return
	}
	if fault == Garbling {
		for i := range frame {
			frame[i] = byte(s.noise.Uint32())
		}
	}
	s.say(u, frame, delay)
}

// say sends a frame after d, if the station is still there.
func (s *station) say(u *Unit, frame []byte, d time.Duration) {
	if d <= 0 {
		_, _ = s.mouths[u.id].Write(frame)
		return
	}
	s.late.Go(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			_, _ = s.mouths[u.id].Write(frame)
		case <-s.done:
		}
	})
}
