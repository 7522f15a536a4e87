package guard

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"edge/internal/gpiochip"
)

// A modelMain is a main process of the model: one line, and an owner that may hang.
type modelMain struct {
	client *Client
	stop   func()
	gone   atomic.Bool // so that it cannot connect again
	hung   atomic.Bool // its owner
	line   gpiochip.Lines
	rest   func() // ends the owner
}

// A model is a house in which anything may happen at any time.
type model struct {
	*house
	gate     chan struct{} // full while the guard is awake
	guarding bool
	awake    bool
	cur      *modelMain
	steady   bool // the main process has given no reason to take over while the guard slept
	bad      []string
}

func (m *model) complain(format string, args ...any) {
	m.bad = append(m.bad, fmt.Sprintf(format, args...))
}

// steps are what may happen, if it can.
var steps = map[string]func(m *model){
	"start main": func(m *model) {
		if m.cur == nil {
			m.startMain()
		}
	},
	"kill main": func(m *model) {
		if m.cur != nil {
			m.killMain()
		}
	},
	"goodbye": func(m *model) {
		if m.cur != nil {
			m.goodbye()
		}
	},
	"on":   func(m *model) { m.drive(1) },
	"off":  func(m *model) { m.drive(0) },
	"hang": (*model).hang,
	"go on": func(m *model) {
		if m.cur != nil {
			m.cur.hung.Store(false)
		}
	},
	"stop guard": func(m *model) {
		if m.guarding && m.awake {
			m.end()
			m.guarding = false
		}
	},
	"start guard": func(m *model) {
		if !m.guarding {
			m.start()
			m.guarding = true
		}
	},
	"guard sleeps": func(m *model) {
		if m.awake {
			<-m.gate
			m.awake = false
			m.steady = m.cur == nil || !m.cur.hung.Load()
		}
	},
	"guard wakes":   func(m *model) { m.wake() },
	"stopped":       func(m *model) { m.stopMain(100 * time.Millisecond) },
	"long stopped":  func(m *model) { m.stopMain(m.cfg.Patience + 4*suspicion) },
	"on and hang":   func(m *model) { m.drive(1); m.hang() },
	"guard restart": func(m *model) { m.restartGuard() },
	"short":         func(*model) { time.Sleep(100 * time.Millisecond) },
	"long":          (*model).long,
	"very long":     func(*model) { time.Sleep(5 * time.Second) },
}

func (m *model) hang() {
	if m.cur != nil {
		m.cur.hung.Store(true)
		m.steady = false
	}
}

func (m *model) restartGuard() {
	if m.guarding && m.awake {
		m.end()
		m.start()
	}
}

// wake lets the guard go on. It must not take a line from who is alive.
func (m *model) wake() {
	if m.awake {
		return
	}
	m.gate <- struct{}{}
	m.awake = true
	if m.cur == nil || m.cur.line == nil || !m.steady {
		return
	}
	before := m.last()
	time.Sleep(10 * suspicion)
	if after := m.last(); before.who == "main" && after.who == "guard" {
		m.complain("the guard has woken up, and drives what %s has set to %d", before.who, before.value)
	}
}

func (m *model) last() drive {
	all := m.chip.trace(m.T, 17)
	return all[len(all)-1]
}

// stopMain stops the main process and lets it go on, with the owner of its line ahead
// of those who would tell it what has happened.
func (m *model) stopMain(d time.Duration) {
	if m.cur == nil || m.cur.line == nil || m.cur.hung.Load() || !m.guarding || !m.awake || m.cur.client.state() != OK {
		return
	}
	m.mu.Lock()
	near := m.near
	m.mu.Unlock()
	near.frozen.Store(true)
	m.cur.hung.Store(true)
	time.Sleep(d)
	m.cur.hung.Store(false)
	thaw := time.AfterFunc(time.Millisecond, func() { near.frozen.Store(false) })
	defer thaw.Stop()
	err := m.cur.line.SetValues(1, 1)
	near.frozen.Store(false)
	m.retake(err)
}

func (m *model) startMain() {
	mm := new(modelMain)
	m.steady = false
	m.main = new(fakeProcess)
	m.cur = mm
	mm.client, mm.stop = m.clientBy(func() (wire, error) {
		if mm.gone.Load() {
			return nil, syscall.ECONNREFUSED
		}
		return m.dial()
	})
	m.open()
}

// open requests the line, which may be the guard's that sleeps.
func (m *model) open() {
	l, err := m.tryRequest(m.cur.client, gpiochip.LineConfig{})
	if err != nil {
		if m.guarding && m.awake && m.cur.client.state() == OK {
			m.complain("a line cannot be had from a guard that is awake: %v", err)
		}
		return
	}
	m.cur.line = l
	m.cur.rest = ownerThat(l, &m.cur.hung)
}

// ownerThat shows that it lives, but for when it hangs.
func ownerThat(l gpiochip.Lines, hung *atomic.Bool) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(pace(DefaultConfig().Patience))
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if !hung.Load() {
					l.(Guarded).Alive()
				}
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

func (m *model) close() {
	if m.cur.line != nil {
		m.cur.rest()
		m.cur.line.Close()
		m.cur.line = nil
	}
}

func (m *model) killMain() {
	mm := m.cur
	guarded := mm.line != nil && mm.client.state() == OK && m.guarding && m.awake
	mm.gone.Store(true)
	m.main.dead.Store(true)
	m.cut()
	synctest.Wait()
	m.close()
	mm.stop()
	m.cur = nil
	if guarded {
		m.wantSafe("the main process was killed")
	}
}

func (m *model) goodbye() {
	if m.awake {
		m.close() // or else it cannot be told
	}
	m.cur.stop()
	m.close()
	m.cur = nil
}

// drive changes the line, as an owner that is not hung, and takes it back if the guard has it.
func (m *model) drive(value uint64) {
	if m.cur == nil || m.cur.hung.Load() {
		return
	}
	if m.cur.line == nil {
		m.open()
		return
	}
	m.retake(m.cur.line.SetValues(1, value))
}

func (m *model) retake(err error) {
	if err != nil {
		m.close()
		m.open()
	}
}

// long has the guard that is awake take over from a hung owner. A line that has come to
// the guard in the meantime has its time from then on.
func (m *model) long() {
	var before *link
	if m.cur != nil && m.cur.line != nil && m.cur.line.(*lines).seen.Load() > 0 {
		before = m.cur.line.(*lines).link.Load()
	}
	time.Sleep(m.cfg.Patience + 4*suspicion)
	if before != nil && m.cur.line.(*lines).link.Load() == before && m.cur.hung.Load() && m.guarding && m.awake {
		m.wantSafe("its owner hangs")
	}
}

func (m *model) wantSafe(why string) {
	if last := m.last(); last.value != 0 {
		m.complain("%s, and the last was %s %s %d", why, last.who, last.verb, last.value)
	}
}

// check reads the whole story: who drives after the guard begins with 0.
func (m *model) check() {
	all := m.chip.trace(m.T, 17)
	for i := 1; i < len(all); i++ {
		if all[i-1].who == "guard" && all[i].who == "main" && all[i].value != 0 {
			m.complain("number %d is %s %s %d, after the guard", i, all[i].who, all[i].verb, all[i].value)
		}
	}
}

// TestModel lets anything happen in any order. The guard makes safe what it must, and
// after that nobody drives a line on who has not asked for it.
func TestModel(t *testing.T) {
	names := slices.Sorted(maps.Keys(steps))
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.SliceOfN(rapid.SampledFrom(names), 10, 40).Draw(rt, "steps")
		var bad []string
		synctest.Test(t, func(t *testing.T) {
			m := &model{house: newHouse(t), gate: make(chan struct{}, 1), guarding: true, awake: true}
			m.gate <- struct{}{}
			m.alive = func() {
				<-m.gate
				m.gate <- struct{}{}
			}
			m.start()
			m.startMain()
			for _, step := range plan {
				steps[step](m)
				synctest.Wait()
			}
			m.wake()
			if m.cur != nil {
				m.killMain()
			}
			if m.guarding {
				time.Sleep(time.Second)
				m.end()
			}
			m.check()
			bad = m.bad
		})
		if len(bad) > 0 {
			rt.Fatalf("%q", bad)
		}
	})
}
