package serial_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/serial"
	"edge/internal/frame"
	"edge/internal/sim"
)

// stormRate is a line of 1 Mbit/s, in bytes a second, without start and stop
// bits: more than any UART brings.
const stormRate = 125_000

// storms are the frames of the four ports; each has six digits as its content.
var storms = []frame.Spec{
	{Kind: frame.Length, Start: "\xb5", Length: frame.Field{At: 1, Width: 2}, Check: &frame.Check{Algorithm: "CRC-16/MODBUS"}, Payload: frame.Part{From: 3, To: new(-2)}},
	{Kind: frame.StartStop, Start: "\x02", End: "\x03", Escape: "\x10", Check: &frame.Check{Algorithm: "CRC-32/ISO-HDLC", From: 1}, Payload: frame.Part{From: 1, To: new(-5)}},
	{Kind: frame.SLIP, Check: &frame.Check{Algorithm: "CRC-16/XMODEM"}, Payload: frame.Part{To: new(-2)}},
	{Kind: frame.StartStop, Start: "/", End: "!", Trailer: 4, Check: &frame.Check{Algorithm: "CRC-16/ARC", Hex: true}, Payload: frame.Part{From: 1, To: new(-5)}},
}

// A tide is what comes again and again on a port: noise with frames between.
type tide struct {
	bytes  []byte
	frames int
	last   []byte // the frame that ends it all, and what decides about false starts before it
}

// lastNumber is in the last frame.
const lastNumber = "999999"

func newTide(t *testing.T, spec frame.Spec, seed uint64) (s tide) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	build := frame.NewBuilder(spec)
	number := func(n string) []byte {
		f, err := build.Frame([]byte(n))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for len(s.bytes) < 64<<10 {
		for range r.IntN(120) {
			s.bytes = append(s.bytes, byte(r.Uint32()))
		}
		s.bytes, s.frames = append(s.bytes, number(fmt.Sprintf("%06d", s.frames))...), s.frames+1
	}
	s.last = append(number(lastNumber), make([]byte, 2*1024)...)
	return s
}

// A sink is a client that counts the states of an entity: the frames that were
// found. One goroutine publishes there.
type sink struct {
	bridgetest.Client
	found int
	done  chan struct{} // closed with the last one
}

func (s *sink) Publish(ctx context.Context, m bridge.Message) error {
	switch {
	case m.Topic != base.State("number"):
		return s.Client.Publish(ctx, m)
	case string(m.Payload) == lastNumber:
		close(s.done)
	default:
		s.found++
	}
	return nil
}

// TestByteStorm has four ports with random bytes at 1 Mbit/s, or as fast as they
// are read where EDGE_STORM does not say how long: the frames between are found,
// the memory stays, and the work is told as a share of a core at that rate.
func TestByteStorm(t *testing.T) {
	long, _ := time.ParseDuration(os.Getenv("EDGE_STORM"))
	var sent, want atomic.Int64
	var sinks []*sink
	var all sync.WaitGroup
	start := make(chan struct{})
	for i, spec := range storms {
		far, port := plug(t)
		if err := far.SetDeadline(time.Now().Add(long + time.Minute)); err != nil {
			t.Fatal(err)
		}
		s := &sink{done: make(chan struct{})}
		sinks = append(sinks, s)
		storm(t, port, spec, s)
		tide := newTide(t, spec, uint64(i))
		all.Go(func() {
			<-start
			n, err := pour(far, tide, long)
			if err == nil {
				_, err = far.Write(tide.last)
			}
			if err != nil {
				t.Errorf("port %d: %v", i, err)
				return
			}
			<-s.done
			sent.Add(int64(n * len(tide.bytes)))
			want.Add(int64(n * tide.frames))
		})
	}
	runtime.GC()
	before, work := resident(t), cpu(t)
	close(start)
	all.Wait()
	found := 0
	for _, s := range sinks {
		found += s.found
	}
	share := (cpu(t) - work).Seconds() / (float64(sent.Load()) / stormRate / float64(len(storms)))
	after := resident(t)
	t.Logf("%d of %d frames found in %d bytes on %d ports; %.1f %% of a core at 1 Mbit/s each; %d KiB resident, then %d",
		found, want.Load(), sent.Load(), len(storms), 100*share, before>>10, after>>10)
	if int64(found)*1000 < want.Load()*999 || int64(found) > want.Load() {
		t.Errorf("%d of %d frames were found, want 99.9 %%", found, want.Load())
	}
	if most := before + 32<<20; after > most {
		t.Errorf("%d KiB are resident, at first %d", after>>10, before>>10)
	}
}

// storm runs a bridge for a port until the test ends.
func storm(t *testing.T, port string, spec frame.Spec, s *sink) {
	t.Helper()
	b := newBridge(t, base, port, func(c *serial.Config) {
		c.Framing, c.Format, c.Heartbeat = &spec, serial.Value, 0
		c.Entities = []serial.Entity{{ID: "number"}}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, s) }()
	bridgetest.Expect(t, &s.Client, base.Status(), "online")
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// pour writes a tide: for so long at 1 Mbit/s, or four times as fast as it goes.
// It returns how often it was written.
func pour(far *sim.PTY, s tide, long time.Duration) (n int, err error) {
	if long == 0 {
		for ; n < 4 && err == nil; n++ {
			_, err = far.Write(s.bytes)
		}
		return n, err
	}
	const tick = 10 * time.Millisecond
	clock := time.NewTicker(tick)
	defer clock.Stop()
	const piece = stormRate / int(time.Second/tick)
	for start := time.Now(); time.Since(start) < long; n++ {
		for b := s.bytes; len(b) > 0; b = b[min(piece, len(b)):] {
			<-clock.C
			if _, err := far.Write(b[:min(piece, len(b))]); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the bytes of the process that are in memory (proc(5), statm).
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(b))
	if err == nil && len(fields) < 2 {
		err = errors.New("has no second field")
	}
	if err != nil {
		t.Skipf("no /proc/self/statm: %v", err)
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
