package bridge_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
)

// What is seen to come back is not waited for; what is broken is, as ever.
func TestSuperviseDoesNotWaitForWhatIsBack(t *testing.T) {
	gone := errors.New("gone")
	for _, tt := range []struct {
		name        string
		back        func(ctx context.Context) error
		least, most time.Duration // to the second run
	}{
		{"it comes back", func(ctx context.Context) error { return pause(ctx, 40*time.Millisecond) }, 40 * time.Millisecond, 40 * time.Millisecond},
		{"it does not", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, time.Second / 2, time.Second},
		{"nobody can say", func(context.Context) error { return errors.ErrUnsupported }, time.Second / 2, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			runs := make(chan time.Time, 8)
			s := supervise(t, nil, func(ctx context.Context, _ bridge.Client) error {
				runs <- time.Now()
				if len(runs) > 1 {
					<-ctx.Done()
					return nil
				}
				return &bridge.Lost{Err: gone, Back: tt.back}
			})
			time.Sleep(time.Minute)
			synctest.Wait()
			first := <-runs
			if waited := (<-runs).Sub(first); waited < tt.least || waited > tt.most {
				t.Errorf("%s: the second run began after %v, want %v to %v", tt.name, waited, tt.least, tt.most)
			}
			s.stop()
		})
	}
	if err := error(&bridge.Lost{Err: gone}); !errors.Is(err, gone) || err.Error() != "gone" {
		t.Errorf("Lost is %q, want its cause", err)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
