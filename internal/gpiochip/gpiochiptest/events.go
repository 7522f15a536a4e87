package gpiochiptest

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"edge/internal/gpiochip"
)

const consumer = "edge:contract"

func testEvents(t *testing.T, chip gpiochip.Chip, w Wires) {
	w.Drive(1, false)
	w.Drive(6, true)
	lines := request(t, chip,
		gpiochip.LineConfig{Offset: 1, Direction: gpiochip.Input, Edges: gpiochip.BothEdges},
		gpiochip.LineConfig{Offset: 6, Direction: gpiochip.Input, Edges: gpiochip.BothEdges, ActiveLow: true})
	rise, fall := gpiochip.Rising, gpiochip.Falling
	var last time.Duration
	for i, step := range []struct {
		offset  uint32
		high    bool
		edge    gpiochip.Edge
		lineSeq uint32
	}{
		{1, true, rise, 1}, {6, false, rise, 1}, {1, false, fall, 2}, {1, true, rise, 3}, {6, true, fall, 2},
	} {
		w.Drive(step.offset, step.high)
		e := readEvent(t, lines)
		if e.Time < last {
			t.Errorf("event %d was at %v, after one at %v", i, e.Time, last)
		}
		last, e.Time = e.Time, 0
		want := gpiochip.Event{Offset: step.offset, Edge: step.edge, Seq: uint32(i + 1), LineSeq: step.lineSeq}
		if e != want {
			t.Errorf("event %d is %+v, want %+v", i, e, want)
		}
	}
}

func testEdgeFilter(t *testing.T, chip gpiochip.Chip, w Wires) {
	w.Drive(1, false)
	lines := request(t, chip, gpiochip.LineConfig{Offset: 1, Direction: gpiochip.Input, Edges: gpiochip.Rising})
	for i := range uint32(3) {
		w.Drive(1, true)
		if e := readEvent(t, lines); e.Edge != gpiochip.Rising || e.LineSeq != i+1 {
			t.Errorf("event %+v, want rising edge %d", e, i+1)
		}
		w.Drive(1, false)
	}
}

// testEventLoss lets the buffer run over: what is left is the newest, and the
// numbers show how many are lost. A chip may make one event of two edges, if the
// interrupt of the first is still pending; so an edge of another line tells
// where the storm ends.
func testEventLoss(t *testing.T, chip gpiochip.Chip, w Wires) {
	const buffer, edges = 32, 200
	w.Drive(1, false)
	w.Drive(2, false)
	lines, err := chip.Request(gpiochip.Request{Consumer: consumer, EventBuffer: buffer, Lines: []gpiochip.LineConfig{
		{Offset: 1, Direction: gpiochip.Input, Edges: gpiochip.BothEdges},
		{Offset: 2, Direction: gpiochip.Input, Edges: gpiochip.Rising},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	for i := range edges {
		w.Drive(1, i%2 == 0)
	}
	w.Drive(2, true)
	var kept []uint32
	for e := readEvent(t, lines); e.Offset == 1; e = readEvent(t, lines) {
		if n := len(kept); n > 0 && e.LineSeq != kept[n-1]+1 {
			t.Fatalf("event %+v follows number %d", e, kept[n-1])
		}
		kept = append(kept, e.LineSeq)
	}
	if len(kept) < buffer/2 || len(kept) >= edges || kept[0] == 1 {
		t.Errorf("of %d edges the events %d were kept, want about as many as the buffer's %d, and not the first", edges, kept, buffer)
	}
}

// testDebounce lets a contact bounce. The numbers of the events show that there
// was no other between them.
func testDebounce(t *testing.T, chip gpiochip.Chip, w Wires) {
	w.Drive(2, false)
	lines := request(t, chip, gpiochip.LineConfig{
		Offset: 2, Direction: gpiochip.Input,
		Edges: gpiochip.BothEdges, Debounce: 200 * time.Millisecond,
	})
	if got := lineInfo(t, chip, 2).Config.Debounce; got != 200*time.Millisecond {
		t.Errorf("debounce is %v, want 200ms", got)
	}
	for round := range uint32(4) {
		for i := range 10 {
			w.Drive(2, i%2 == 0)
		}
		w.Drive(2, round%2 == 0)
		e := readEvent(t, lines)
		if rising := e.Edge == gpiochip.Rising; rising != (round%2 == 0) || e.LineSeq != round+1 {
			t.Errorf("round %d: event %+v, want rising: %t, number %d", round, e, round%2 == 0, round+1)
		}
		wantValues(t, lines, 1, bit(round%2 == 0))
	}
}

func testContext(t *testing.T, chip gpiochip.Chip, w Wires) {
	w.Drive(1, false)
	lines := request(t, chip, gpiochip.LineConfig{Offset: 1, Direction: gpiochip.Input, Edges: gpiochip.BothEdges})
	ctx, cancel := context.WithCancel(context.Background())
	wait := waiting(ctx, lines)
	cancel()
	if err := await(t, wait); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadEvent whose context ends = %v, want context.Canceled", err)
	}
	if _, err := lines.ReadEvent(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadEvent with a context that has ended = %v, want context.Canceled", err)
	}
	w.Drive(1, true)
	if e := readEvent(t, lines); e.Edge != gpiochip.Rising {
		t.Errorf("event after a cancelled wait is %+v, want a rising edge", e)
	}
}

func testClose(t *testing.T, chip gpiochip.Chip, _ Wires) {
	lines := request(t, chip, gpiochip.LineConfig{Offset: 1, Direction: gpiochip.Input, Edges: gpiochip.BothEdges})
	wait := waiting(context.Background(), lines)
	closeLines(t, lines)
	if err := await(t, wait); !errors.Is(err, os.ErrClosed) {
		t.Errorf("ReadEvent of lines that are closed under it = %v, want os.ErrClosed", err)
	}
	if _, err := lines.Values(1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Values of closed lines = %v, want os.ErrClosed", err)
	}
	if err := lines.SetValues(1, 1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("SetValues of closed lines = %v, want os.ErrClosed", err)
	}
}

func request(t *testing.T, chip gpiochip.Chip, cfg ...gpiochip.LineConfig) gpiochip.Lines {
	t.Helper()
	lines, err := chip.Request(gpiochip.Request{Consumer: consumer, Lines: cfg})
	if err != nil {
		t.Fatalf("Request(%+v): %v", cfg, err)
	}
	t.Cleanup(func() { lines.Close() })
	return lines
}

func closeLines(t *testing.T, lines gpiochip.Lines) {
	t.Helper()
	if err := lines.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
}

func lineInfo(t *testing.T, chip gpiochip.Chip, offset uint32) gpiochip.LineInfo {
	t.Helper()
	info, err := chip.LineInfo(offset)
	if err != nil {
		t.Fatalf("LineInfo(%d): %v", offset, err)
	}
	return info
}

func wantValues(t *testing.T, lines gpiochip.Lines, mask, want uint64) {
	t.Helper()
	if got, err := lines.Values(mask); err != nil || got != want {
		t.Errorf("Values(%#b) = %#b, %v, want %#b", mask, got, err, want)
	}
}

func readEvent(t *testing.T, lines gpiochip.Lines) gpiochip.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e, err := lines.ReadEvent(ctx)
	if err != nil {
		t.Fatalf("ReadEvent: %v", err)
	}
	return e
}

// waiting begins to wait for an event that does not come.
func waiting(ctx context.Context, lines gpiochip.Lines) <-chan error {
	done := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		_, err := lines.ReadEvent(ctx)
		done <- err
	}()
	<-started
	return done
}

func await(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("ReadEvent still waits after %v", patience)
		return nil
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
