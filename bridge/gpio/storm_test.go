package gpio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// A counting client counts what is published, by topic.
type counting struct {
	bridge.Client
	mu sync.Mutex
	n  map[string]int
}

func (c *counting) Publish(ctx context.Context, m bridge.Message) error {
	c.mu.Lock()
	c.n[m.Topic]++
	c.mu.Unlock()
	return c.Client.Publish(ctx, m)
}

// take returns what was published of an entity since the last call.
func (c *counting) take(entity string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, topic := range []string{base.State(entity), base.Attr(entity), base.Event(entity)} {
		n += c.n[topic]
		delete(c.n, topic)
	}
	return n
}

// stormConfig has all lines of a header, by turns without debounce, immediate,
// and stable by the kernel's debounce and by our own.
func stormConfig() gpio.Config {
	cfg := gpio.DefaultConfig()
	for i := range 28 {
		p := gpio.Pin{ID: fmt.Sprintf("i%d", i), Pin: fmt.Sprintf("GPIO%d", i), Direction: gpio.Input}
		switch i % 4 {
		case 0:
			p.Debounce = new(time.Duration(0))
			p.Clicks = &gpio.Clicks{Double: time.Second}
			p.Counter = &gpio.Counter{PerUnit: 1, Save: time.Second}
		case 1:
			p.DebounceMode = gpio.Immediate
		case 2:
			p.Debounce = new(20 * time.Millisecond) // which partlyDebounced leaves to us
		}
		cfg.Pins = append(cfg.Pins, p)
	}
	return cfg
}

// partlyDebounced is a chip that debounces by 10 ms only.
type partlyDebounced struct{ gpiochip.Chip }

func (c partlyDebounced) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	if d := r.Lines[0].Debounce; d > 0 && d != 10*time.Millisecond {
		return nil, errors.ErrUnsupported
	}
	return c.Chip.Request(r)
}

// TestStormOnAllLines has 28 lines flap with 10 kHz. Little is published and
// little is read, each edge is accounted for, and each last state is right.
func TestStormOnAllLines(t *testing.T) {
	const (
		edges  = 10_001 // in one second
		window = 10 * time.Second
	)
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		c := &counting{Client: r.client, n: map[string]int{}}
		for i := range 28 {
			r.board.Header.Drive(uint32(i), false)
		}
		open := func(label string) (gpiochip.Chip, error) {
			chip, err := r.board.Open(label)
			return partlyDebounced{chip}, err
		}
		var logged bytes.Buffer
		log := slog.New(slog.NewTextHandler(&logged, nil))
		bridgetest.Run(t, c, gpio.New(base, stormConfig(), log).WithChips(open))
		r.expect("i27", "OFF")
		synctest.Wait()
		for i := range 28 {
			c.take(fmt.Sprintf("i%d", i))
		}
		clock := time.NewTicker(100 * time.Microsecond)
		for n := range edges {
			for i := range 28 {
				r.board.Header.Drive(uint32(i), n%2 == 0)
			}
			<-clock.C
		}
		clock.Stop()
		<-time.After(2 * time.Second)
		total := 0
		for i := range 28 {
			id := fmt.Sprintf("i%d", i)
			n := c.take(id)
			total += n
			// Without debounce: 1000 changes, with attr and at most three events each.
			if most := map[int]int{0: 5100, 1: 40, 2: 40, 3: 2}[i%4]; n > most {
				t.Errorf("%s: %d messages, want %d at most", id, n, most)
			}
			if m, _ := r.client.Retained(base.State(id)); string(m.Payload) != "ON" {
				t.Errorf("%s is %s after the storm, want ON", id, m.Payload)
			}
		}
		<-time.After(2 * window)
		for i := range 28 {
			id := fmt.Sprintf("i%d", i)
			a := r.last(id)
			switch seen := a.Counters["edges"]; {
			case i%4 == 3: // the kernel saw through it
				if seen != 1 {
					t.Errorf("%s: %v, want one edge", id, a.Counters)
				}
			case seen+a.Counters["lost"] != edges || seen > 3000:
				t.Errorf("%s: %v, want %d edges in all, of which 3000 are read at most", id, a.Counters, edges)
			}
			if flapped := a.Counters["flaps"] == 1; flapped != (i%4 == 0) || a.Extra["flapping"] != nil {
				t.Errorf("%s: %+v; want that it flapped once, if it was not debounced, and does no more", id, a)
			}
		}
		if n := strings.Count(logged.String(), "input flaps"); n != 7 {
			t.Errorf("the log says %d times that an input flaps, want 7:\n%s", n, &logged)
		}
		for i := 0; i < 28; i += 4 {
			total, _ := r.client.Retained(base.State(fmt.Sprintf("i%d_total", i)))
			if want := (edges + 1) / 2; string(total.Payload) != fmt.Sprint(want) {
				t.Errorf("i%d has counted %s pulses, want %d", i, total.Payload, want)
			}
		}
		t.Logf("%d messages for %d edges", total, 28*edges)
	})
}

// last returns the attributes of the entity that are retained now.
func (r rig) last(entity string) (a bridge.Attr) {
	r.Helper()
	m, _ := r.client.Retained(base.Attr(entity))
	if err := json.Unmarshal(m.Payload, &a); err != nil {
		r.Fatal(err)
	}
	return a
}

// TestFlappingGoesOn has an input flap for a minute, and a button beside it.
func TestFlappingGoesOn(t *testing.T) {
	cfg := boardConfig()
	cfg.Flapping = gpio.Flapping{Changes: 20, Window: 5 * time.Second}
	cfg.Pins[7].Clicks = &gpio.Clicks{}
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		c := &counting{Client: r.client, n: map[string]int{}}
		bridgetest.Run(t, c, gpio.New(base, cfg, log).WithChips(r.board.Open))
		r.expect("motion", "OFF")
		r.pulse(50, 50*time.Millisecond, 50*time.Millisecond)
		r.attr("motion", func(a bridge.Attr) bool { return a.Extra["flapping"] == true })
		c.take("motion")
		r.pulse(550, 50*time.Millisecond, 50*time.Millisecond)
		if n := c.take("motion"); n > 2*56 {
			t.Errorf("%d messages in 55 s, want state and attr once a second", n)
		}
		r.board.SetMotion(true)
		r.attr("motion", func(a bridge.Attr) bool { return a.Extra["flapping"] == nil && a.Counters["changes"] == 1201 })
		if m, _ := r.client.Retained(base.State("motion")); string(m.Payload) != "ON" {
			t.Errorf("after all it is %s, want ON", m.Payload)
		}
		c.take("motion")
		r.board.SetMotion(false) // the release of a press that nobody was told of
		<-time.After(time.Second)
		if n := c.take("motion"); n != 2 {
			t.Errorf("%d messages, want state and attr", n)
		}
	})
}

// TestBoot has the run of the kernel in attr, and why the state is told.
func TestBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		b := gpio.New(base, boardConfig(), log).WithChips(r.board.Open).WithBoot("b-1")
		bridgetest.Run(t, r.client, b)
		a := r.attr("door", func(bridge.Attr) bool { return true })
		if a.Cause != "start" || a.Extra["boot"] != "b-1" {
			t.Errorf("attr %+v, want start and b-1", a)
		}
		r.board.SetDoor(true)
		a = r.attr("door", func(bridge.Attr) bool { return true })
		if a.Cause != "input" || a.Extra["boot"] != "b-1" {
			t.Errorf("attr %+v, want input and b-1", a)
		}
	})
}
