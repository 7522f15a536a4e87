package interop

import (
	"runtime"
	"testing"
	"time"
)

// A routine is the test within a goroutine beside it, where testing.TB allows
// no FailNow: there Fatal ends the goroutine.
type routine struct{ testing.TB }

func (r routine) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r routine) Fatal(args ...any) {
	r.Helper()
	r.Error(args...)
	runtime.Goexit()
}

func (r routine) Fatalf(format string, args ...any) {
	r.Helper()
	r.Errorf(format, args...)
	runtime.Goexit()
}

// beside runs f beside the test; wait returns when f has ended. The test does
// not end before it.
func beside(t testing.TB, f func(t testing.TB)) (wait func()) {
	done := make(chan struct{})
	wait = func() { <-done }
	t.Cleanup(wait)
	go func() {
		defer close(done)
		f(routine{t})
	}()
	return wait
}

// elapse lets d go by on the clock of the broker, which is in another process
// and so out of reach for testing/synctest. Only for tests of what time does.
func elapse(d time.Duration) { <-time.After(d) }
