package guard

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/gpiochip"
)

// TestDeath ends the main process: at once, everything is safe, and nothing was
// released. The next one gets the lines as they are.
func TestDeath(t *testing.T) {
	for _, safe := range []bool{false, true} {
		inHouse(t, func(h *house) {
			c, stop := h.client()
			l := h.request(c, gpiochip.LineConfig{Safe: safe})
			h.set(l, 1)
			h.set(l, 0)
			h.set(l, 1)
			time.Sleep(20 * time.Second)
			h.main.dead.Store(true)
			h.cut() // so that no goodbye comes
			l.Close()
			stop()
			story := "main requests 0, main sets 1, main sets 0, main sets 1, guard sets 0"
			if safe {
				story = "main requests 0, main sets 1, main sets 0, main sets 1, guard sets 1"
			}
			h.wantStory(story)
			h.wantHeld(true)

			h.main = new(fakeProcess)
			next, stop := h.client()
			l = h.request(next, gpiochip.LineConfig{Safe: safe, Value: true})
			h.wantStory(story + ", main sets 1")
			l.Close()
			stop()
		})
	}
}

// TestSilence has the owner of a line hang, while the rest of the process does not.
func TestSilence(t *testing.T) {
	inHouse(t, func(h *house) {
		c, stop := h.client()
		defer stop()
		l := h.request(c, gpiochip.LineConfig{})
		hang := owner(l)
		h.set(l, 1)
		time.Sleep(20 * time.Second)
		h.wantStory("main requests 0, main sets 1")
		hang()
		begun := time.Now()
		if _, err := l.ReadEvent(h.Context()); !errors.Is(err, ErrTakenOver) {
			t.Errorf("ReadEvent when the guard has taken over = %v, want ErrTakenOver", err)
		}
		if took := time.Since(begun); took > h.cfg.Patience+2*suspicion {
			t.Errorf("the guard has taken over after %v, want %v", took, h.cfg.Patience)
		}
		if err := l.SetValues(1, 1); !errors.Is(err, ErrTakenOver) {
			t.Errorf("SetValues when the guard has taken over = %v, want ErrTakenOver", err)
		}
		l.Close()
		h.wantStory("main requests 0, main sets 1, guard sets 0")
		h.wantHeld(true)

		l = h.request(c, gpiochip.LineConfig{})
		defer owner(l)()
		h.set(l, 1)
		time.Sleep(20 * time.Second)
		h.wantStory("main requests 0, main sets 1, guard sets 0, main sets 0, main sets 1")
		l.Close()
	})
}

// TestNoOwnerYet has nobody to answer for a line that has not been served yet.
func TestNoOwnerYet(t *testing.T) {
	inHouse(t, func(h *house) {
		c, stop := h.client()
		defer stop()
		l := h.request(c, gpiochip.LineConfig{Value: true})
		time.Sleep(20 * time.Second)
		h.wantStory("main requests 1")
		l.Close()
	})
}

// TestStopped has a process say nothing more, that may be about to drive a line: that is
// made safe again and again.
func TestStopped(t *testing.T) {
	inHouse(t, func(h *house) {
		w := h.hello()
		cfg := gpiochip.LineConfig{Offset: 17, Direction: gpiochip.Output, Value: true}
		r := gpiochip.Request{Consumer: "edge:heater", Lines: []gpiochip.LineConfig{cfg}}
		lines, err := h.as("main").Request(r)
		if err != nil {
			h.Fatal(err)
		}
		q, _ := newRequest(fakeInfo, r)
		if err := w.write(frame{Op: opHold, Seq: 2, Lines: &q}, lines.(fakeLines)); err != nil {
			h.Fatal(err)
		}
		time.Sleep(h.cfg.Patience + time.Second)
		h.set(lines, 1) // It was past the fence when it was stopped.
		stopped := time.Now()
		time.Sleep(time.Second)
		h.wantStory("main requests 1, guard sets 0, main sets 1, guard sets 0")
		for _, d := range h.chip.trace(h.T, 17) {
			if d.at.After(stopped) {
				if wrong := d.at.Sub(stopped); wrong > 100*time.Millisecond {
					t.Errorf("the line was wrong for %v, want 100ms at most", wrong)
				}
				break
			}
		}
		before := len(h.chip.trace(h.T, 17))
		h.main.dead.Store(true)
		time.Sleep(20 * time.Second)
		if after := len(h.chip.trace(h.T, 17)); after != before {
			t.Errorf("a line of a process that has ended is driven %d times", after-before)
		}
		lines.Close()
		w.Close()
	})
}

// TestKill has a main process not come back.
func TestKill(t *testing.T) {
	for _, after := range []time.Duration{0, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.cfg.KillAfter = after
			h.start()
			defer h.end()
			w := h.hello()
			synctest.Wait()
			time.Sleep(h.cfg.Patience + 9*time.Second)
			if h.main.killed.Load() != 0 {
				t.Errorf("kill_after %v: killed after 9s", after)
			}
			time.Sleep(20 * time.Second)
			if got, want := int(h.main.killed.Load()), min(1, int(after/time.Second)); got != want {
				t.Errorf("kill_after %v: killed %d times, want %d", after, got, want)
			}
			w.Close()
		})
	}
}

// TestGoodbye ends in order: what was left is as it was left, and the rest is safe.
func TestGoodbye(t *testing.T) {
	for _, closed := range []bool{false, true} {
		inHouse(t, func(h *house) {
			c, stop := h.client()
			l := h.request(c, gpiochip.LineConfig{})
			h.set(l, 1)
			want := "main requests 0, main sets 1"
			if closed {
				l.Close()
			} else {
				want += ", guard sets 0"
			}
			stop()
			time.Sleep(20 * time.Second)
			h.wantStory(want)
			h.wantHeld(true)
			if !closed {
				l.Close()
			}
			h.end()
			h.wantStory(want)
			h.wantHeld(false)
			h.start()
		})
	}
}

// TestOnce ends a guard with its hub.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.once = true
		h.start()
		c, stop := h.client()
		h.request(c, gpiochip.LineConfig{}).Close()
		stop()
		if err := <-h.done; err != nil {
			t.Errorf("Serve = %v", err)
		}
		h.wantHeld(false)
		h.stop()
	})
}

// TestGuardDies has the guard end first: the main process goes on, and so do its
// outputs; the next guard holds them again.
func TestGuardDies(t *testing.T) {
	inHouse(t, func(h *house) {
		c, stop := h.client()
		l := h.request(c, gpiochip.LineConfig{})
		defer owner(l)()
		h.set(l, 1)
		h.end()
		synctest.Wait()
		h.set(l, 0)
		h.set(l, 1)
		if got := c.state(); got != Lost {
			t.Errorf("without a guard the state is %s, want %s", got, Lost)
		}
		h.start()
		time.Sleep(2 * again)
		if got := c.state(); got != OK {
			t.Errorf("with the next guard the state is %s, want %s", got, OK)
		}
		h.set(l, 0)
		h.set(l, 1)
		const story = "main requests 0, main sets 1, main sets 0, main sets 1, main sets 0, main sets 1"
		h.wantStory(story)
		h.main.dead.Store(true)
		h.cut()
		h.wantStory(story + ", guard sets 0")
		stop()
		l.Close()
	})
}

// TestGuardHangs stops the guard. A change waits until that is clear, and is done; when
// the guard wakes up it leaves the lines alone, and has them again later.
func TestGuardHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		awake := make(chan struct{}, 1)
		awake <- struct{}{}
		h.alive = func() {
			<-awake
			awake <- struct{}{}
		}
		h.start()
		c, stop := h.client()
		l := h.request(c, gpiochip.LineConfig{})
		dead := owner(l)
		time.Sleep(time.Second)
		<-awake
		time.Sleep(h.cfg.Patience)
		begun := time.Now()
		h.set(l, 1)
		if took := time.Since(begun); took == 0 || took > hangTime {
			t.Errorf("a change took %v while it was not clear whether the guard had taken over", took)
		}
		h.wantStory("main requests 0, main sets 1")
		time.Sleep(20 * time.Second)
		awake <- struct{}{}
		time.Sleep(2*again + answerTime)
		if got := c.state(); got != OK {
			t.Errorf("with a guard that is awake again the state is %s", got)
		}
		h.wantStory("main requests 0, main sets 1")
		dead()
		time.Sleep(time.Second)
		h.wantStory("main requests 0, main sets 1, guard sets 0")
		l.Close()
		stop()
		h.end()
	})
}

// TestOtherConfig asks for a line that is held otherwise: it is had from the kernel.
func TestOtherConfig(t *testing.T) {
	inHouse(t, func(h *house) {
		c, stop := h.client()
		defer stop()
		h.request(c, gpiochip.LineConfig{}).Close()
		l := h.request(c, gpiochip.LineConfig{ActiveLow: true, Value: true})
		h.wantStory("main requests 0, main requests 1")
		if _, err := h.tryRequest(c, gpiochip.LineConfig{}); !errors.As(err, new(*gpiochip.BusyError)) {
			t.Errorf("a request of a line that is in use = %v, want a BusyError", err)
		}
		l.Close()
		time.Sleep(leftTime / 2)
		h.wantHeld(true)
		time.Sleep(leftTime)
		h.wantHeld(false) // Nobody has come for it.
	})
}

// TestFree shows a line as free that is held for this process, and as used one that
// this process has.
func TestFree(t *testing.T) {
	inHouse(t, func(h *house) {
		c, stop := h.client()
		defer stop()
		used := func() bool {
			chip, err := c.Opener(h.as("main").open)("")
			if err != nil {
				t.Fatal(err)
			}
			info, err := chip.LineInfo(17)
			if err != nil {
				t.Fatal(err)
			}
			return info.Used
		}
		l := h.request(c, gpiochip.LineConfig{})
		if !used() {
			t.Error("a line that is in use is free")
		}
		l.Close()
		if used() {
			t.Error("a line that the guard holds is not free")
		}
		h.wantHeld(true)
	})
}

// TestSecondMain refuses a second main process, as long as the first is there.
func TestSecondMain(t *testing.T) {
	inHouse(t, func(h *house) {
		_, stop := h.client()
		second, stopSecond := h.client()
		if got := second.state(); got != Lost {
			t.Errorf("the second main process is %s", got)
		}
		stop()
		time.Sleep(2 * again)
		if got := second.state(); got != OK {
			t.Errorf("the second main process is %s when the first has gone, want %s", got, OK)
		}
		stopSecond()
	})
}

// TestAcquire holds lines before anybody has come.
func TestAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ctx, cancel := context.WithCancel(t.Context())
		var tries atomic.Int32
		s := &Server{Config: h.cfg, Log: quiet, descend: h.as("guard").descend, Acquire: func(own Own) error {
			if tries.Add(1) < 3 {
				return errors.New("no such chip")
			}
			r := gpiochip.Request{Consumer: "edge:heater", Lines: []gpiochip.LineConfig{
				{Offset: 17, Direction: gpiochip.Output, Value: true, Safe: true},
			}}
			lines, err := h.as("guard").Request(r)
			if err != nil {
				return err
			}
			return own(fakeInfo, r, lines)
		}}
		done := make(chan error, 1)
		go func() { done <- s.serve(ctx, fakeListener{make(chan struct{}), h.accept}) }()
		time.Sleep(time.Minute)
		if got := tries.Load(); got != 3 {
			t.Errorf("lines were acquired %d times, want 3", got)
		}
		c, stop := h.client()
		h.request(c, gpiochip.LineConfig{Safe: true}).Close()
		h.wantStory("guard requests 1, main sets 0")
		stop()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
		h.wantHeld(false)
	})
}
