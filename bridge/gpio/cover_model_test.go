package gpio_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/sim"
)

// TestCoverSchedules drives a blind by random commands over many starts, ends,
// crashes and lost chips. The blind itself judges its motor: never both ways, nor
// within the dead time. What is told of its position is so, and after each life its
// motor is still.
func TestCoverSchedules(t *testing.T) {
	n, err := strconv.Atoi(flag.Lookup("schedules").Value.String())
	if err != nil {
		t.Fatal(err)
	}
	if n /= 1000; testing.Short() {
		n /= 10
	}
	const rounds = 212 // A way that ends by rounding was due for ever.
	for i := range uint64(n + 1) {
		seed := i
		if i == uint64(n) {
			seed = rounds
		}
		synctest.Test(t, func(t *testing.T) { newHouse(t, seed).live() })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A house has one blind and somebody who plays with it.
type house struct {
	rig
	cfg   gpio.Config
	r     *rand.Rand
	b     *blind
	story []string
}

func newHouse(t *testing.T, seed uint64) *house {
	r := rand.New(rand.NewPCG(seed, 7))
	cfg := coverConfig(r.IntN(2) == 0)
	c := &cfg.Covers[0]
	c.OpenTime = time.Duration(1+r.IntN(20)) * time.Second
	c.CloseTime = time.Duration(1+r.IntN(20)) * time.Second
	if r.IntN(2) == 0 && c.OpenSwitch == "" {
		c.Overrun = 2 * time.Second
	}
	if r.IntN(4) == 0 {
		cfg.Pins[0].PerMinute = 3
		cfg.Pins[1].MinOff = 3 * time.Second
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	h := &house{rig: rig{t, sim.NewBoard(), new(bridgetest.Client)}, cfg: cfg, r: r}
	h.b = hang(t, h.board, *c, r.Float64())
	return h
}

func (h *house) live() {
	for range 3 {
		time.Sleep(time.Second)
		h.life()
		h.judge("after the life")
		if _, runs := h.b.is(); runs {
			h.Error("the motor runs though nobody is there")
		}
		if h.Failed() {
			h.Fatalf("%+v\n%s", h.cfg.Covers[0], strings.Join(h.story, "\n"))
		}
	}
}

// life is one run of the bridge; it ends in order, by a crash, or with the chip.
func (h *house) life() {
	ctx, cancel := context.WithCancel(h.Context())
	defer cancel()
	over := make(chan error)
	client := &mortal{Client: h.client}
	go func() { over <- gpio.New(base, h.cfg, log).WithChips(h.b.Open).Run(ctx, client) }()
	synctest.Wait()
	time.Sleep(time.Second)
	for range 1 + h.r.IntN(12) {
		h.step()
	}
	synctest.Wait()
	switch h.r.IntN(3) {
	case 0:
		h.tell("crash")
		client.dead.Store(true) // What it says from now on is not heard.
		cancel()
		if err := <-over; err != nil {
			h.tell("Run: %v", err)
		}
	case 1:
		h.tell("chip gone")
		h.board.Header.Unplug()
		if err := <-over; err == nil {
			h.Error("Run returns no error though its chip is gone")
		}
		h.board.Header.Replug()
	default:
		h.tell("end")
		cancel()
		if err := <-over; err != nil {
			h.Error(err)
		}
	}
}

func (h *house) step() {
	switch n := h.r.IntN(10); {
	case n < 3:
		h.order([]string{"OPEN", "CLOSE", "STOP"}[h.r.IntN(3)])
	case n < 5:
		h.order(strconv.Itoa(h.r.IntN(101)))
	case n < 6:
		h.order("UP")
	default:
		d := time.Duration(h.r.IntN(12_000)) * time.Millisecond
		h.tell("wait %v", d)
		time.Sleep(d)
	}
	h.judge("on the way")
}

func (h *house) order(value string) {
	h.tell("%s", value)
	h.send("blind", value)
}

func (h *house) tell(format string, args ...any) {
	pos, _ := h.b.is()
	h.story = append(h.story, fmt.Sprintf("%.3f ", pos)+fmt.Sprintf(format, args...))
}

// judge compares what is told with what is.
func (h *house) judge(when string) {
	synctest.Wait()
	s, _ := h.client.Retained(base.State("blind"))
	p, _ := h.client.Retained(base.Position("blind"))
	pos, runs := h.b.is()
	moves := string(s.Payload) == "opening" || string(s.Payload) == "closing"
	if when == "on the way" && moves != runs {
		h.Errorf("%s: it is %s, the motor runs: %t", when, s.Payload, runs)
	}
	if moves || len(p.Payload) == 0 {
		return
	}
	// Its words are a percentage, and its switches are debounced and not quite at
	// the ends, while it may go a whole way in a second.
	told, err := strconv.Atoi(string(p.Payload))
	if err != nil || math.Abs(pos-float64(told)/100) > 0.03 {
		h.Errorf("%s: it says %s, but hangs at %.3f", when, p.Payload, pos)
	}
}

// A mortal is a client that may die: from then on nothing that it says is heard.
type mortal struct {
	bridge.Client
	dead atomic.Bool
}

func (c *mortal) Publish(ctx context.Context, m bridge.Message) error {
	if c.dead.Load() {
		return errors.New("the process is dead")
	}
	return c.Client.Publish(ctx, m)
}
