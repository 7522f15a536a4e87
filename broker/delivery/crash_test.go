package delivery

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

var (
	crashes   = flag.Int("crashes", defaultCrashes(), "disks left by power cuts that TestPowerCuts judges at least")
	crashSeed = flag.Uint64("crashseed", 0, "the one seed that TestPowerCuts runs")
)

func defaultCrashes() int {
	if os.Getenv("CI") != "" {
		return 20_000
	}
	return 2000
}

// TestPowerCuts has clients publish, subscribe, come, go and take over from
// themselves, cuts the power at any access to the disk, and goes on with what may be
// left, again and again. On each such disk the clients are let finish what they know
// of, and then judge: what was acknowledged came to all who had subscribed, in order,
// at QoS 2 once; nothing else came; and what has ended has ended.
func TestPowerCuts(t *testing.T) {
	if *crashSeed != 0 {
		synctest.Test(t, func(t *testing.T) { newWorld(t, *crashSeed).run() })
		return
	}
	var states, seeds atomic.Uint64
	t.Run("worlds", func(all *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			all.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for !all.Failed() && states.Load() < uint64(*crashes) {
					seed := seeds.Add(1)
					synctest.Test(t, func(t *testing.T) { states.Add(newWorld(t, seed).run()) })
				}
			})
		}
	})
	t.Logf("%d disks were judged", states.Load())
}

// run lets a world live for a while, and returns how many disks were judged.
func (w *world) run() uint64 {
	for era := range 4 {
		for range 400 {
			w.step()
			if w.rand.IntN(40) == 0 || w.slow == 0 {
				w.cut(10)
			}
		}
		w.tracef("the end of era %d", era)
		w.calm()
		w.settle(0)
		w.judge()
		w.forget()
		w.fs.Hook(w.gate)
	}
	w.end()
	return w.states
}

// cut cuts the power. The clients judge up to n disks that may be left, and go on
// with another one.
func (w *world) cut(n int) {
	w.tracef("the power is cut, %d records are safe", w.j.Committed())
	known := map[uint64]bool{}
	for fs := range w.fs.Crashes(w.rand, n) {
		sum := fs.Sum()
		if known[sum] {
			continue
		}
		known[sum] = true
		f := w.fork(fs)
		f.restart()
		f.expectWills(w.log.mute)
		f.settle(2)
		f.judge()
		f.end()
		w.states++
	}
	fs := w.fs.Clone() // The process is killed, and nothing is lost yet.
	if w.torn || w.rand.IntN(4) > 0 {
		fs = w.fs.Crash(w.rand)
	}
	f := w.fork(fs)
	w.end()
	*w = *f
	w.restart()
	w.forgetWills()
	w.states++
	w.fs.Hook(w.gate)
}

// end lets go of the engine and its disk.
func (w *world) end() {
	w.fault.every.Store(0)
	w.fs.SetFree(1 << 40)
	close(w.turns)
	w.e.Close()
	delete(w.alive, w.j)
	if err := w.j.Close(context.Background()); err != nil {
		w.failf("close: %v", err)
	}
}
