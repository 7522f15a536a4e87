package uart_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"edge/internal/uart"
)

func TestBusTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := uart.NewBus(nil)
		if err := b.Acquire(t.Context(), uart.Owner); err != nil {
			t.Fatal(err)
		}
		var order []string
		wait := func(who uart.Priority, name string) {
			go func() {
				if err := b.Acquire(t.Context(), who); err != nil {
					t.Error(err)
				}
				order = append(order, name)
				b.Release()
			}()
			synctest.Wait() // in the queue
		}
		for i := range 3 {
			wait(uart.Owner, fmt.Sprint("owner", i))
		}
		wait(uart.Guest, "guest0")
		wait(uart.Guest, "guest1")
		b.Release()
		synctest.Wait()
		if want := []string{"guest0", "owner0", "guest1", "owner1", "owner2"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestBusExchange(t *testing.T) {
	b := uart.NewBus(nil)
	boom := errors.New("boom")
	if err := b.Exchange(t.Context(), func(*uart.Port) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Exchange = %v, want %v", err, boom)
	}
	done, cancel := context.WithCancel(t.Context())
	if err := b.Acquire(t.Context(), uart.Guest); err != nil {
		t.Fatal(err) // the exchange before has given it back
	}
	cancel()
	if err := b.Exchange(done, func(*uart.Port) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Exchange of who waits no longer = %v, want %v", err, context.Canceled)
	}
}

// TestBusModel: whatever comes in which order, one has the bus, nobody is lost,
// and a guest that waits is passed by one exchange of the owner at most.
func TestBusModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			b := uart.NewBus(nil)
			holders, passed := 0, 0
			var waiting [2]int
			cancels := map[int]context.CancelFunc{}
			release := make(chan struct{})
			n := rapid.IntRange(1, 30).Draw(rt, "steps")
			for i := range n {
				switch rapid.SampledFrom([]string{"owner", "guest", "release", "cancel"}).Draw(rt, "step") {
				case "owner", "guest":
					who := uart.Priority(rapid.IntRange(0, 1).Draw(rt, "who"))
					ctx, cancel := context.WithCancel(t.Context())
					cancels[i] = cancel
					waiting[who]++
					go func() {
						err := b.Acquire(ctx, who)
						waiting[who]--
						if err != nil {
							return
						}
						if holders++; holders > 1 {
							t.Error("two have the bus")
						}
						if who == uart.Guest || waiting[uart.Guest] == 0 {
							passed = 0
						} else if passed++; passed > 1 {
							t.Errorf("%d exchanges of the owner passed a guest", passed)
						}
						<-release
						holders--
						b.Release()
					}()
				case "release":
					select {
					case release <- struct{}{}:
					default:
					}
				case "cancel":
					for k, cancel := range cancels {
						cancel()
						delete(cancels, k)
						break
					}
				}
				synctest.Wait()
				if holders == 0 && waiting[0]+waiting[1] > 0 {
					t.Errorf("nobody has the bus and %v wait", waiting)
				}
			}
			close(release)
			synctest.Wait()
			if waiting[0]+waiting[1] > 0 || holders > 0 {
				t.Errorf("%v wait and %d have the bus at the end", waiting, holders)
			}
			for _, cancel := range cancels {
				cancel()
			}
		})
	})
}
