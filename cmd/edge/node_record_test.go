package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
)

// recording begins to record with a broker in memory.
func recording(t *testing.T, data string) (n *node, s *fakeServer, stop func()) {
	t.Helper()
	s = new(fakeServer)
	n = &node{server: s, log: slog.New(slog.DiscardHandler), plan: &plan{settings: settings{Data: data, Prefix: "edge", Node: "n"}}}
	stop, err := n.record()
	if err != nil {
		t.Fatal(err)
	}
	return n, s, stop
}

// changes publishes so many changes of an output of the bridge relay.
func changes(t *testing.T, s *fakeServer, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		m := bridge.Message{
			Topic: "edge/n/relay/pump/log", From: bridge.Sender{User: "bridge/relay"},
			Payload: fmt.Appendf(nil, `{"time":"2026-01-31T12:00:00Z","value":"ON","cause":"command","id":"%d"}`, i),
		}
		if err := s.memory.Publish(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecord writes many changes at once: after a while, when there are many, when it
// is asked to, and at the end; of others than the bridge itself, none.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, stop := recording(t, t.TempDir())
		written := func(want int) {
			t.Helper()
			synctest.Wait()
			lines, bad, err := readTrail[outputLine](n.recorder.trail)
			if err != nil || bad != 0 || len(lines) != want {
				t.Fatalf("%d lines are written, %d others, %v; want %d", len(lines), bad, err, want)
			}
		}
		changes(t, s, 0, 3)
		synctest.Wait()
		time.Sleep(recordTime - time.Nanosecond)
		written(0)
		time.Sleep(time.Nanosecond)
		written(3)
		changes(t, s, 3, 4)
		synctest.Wait()
		n.recorder.flush()
		written(4)
		changes(t, s, 4, 1000)
		synctest.Wait()
		lines, _, _ := readTrail[outputLine](n.recorder.trail)
		if len(lines) < 500 {
			t.Errorf("of many changes %d are written at once, want most", len(lines))
		}
		for _, m := range []bridge.Message{
			{Topic: "edge/n/relay/pump/log", Payload: []byte(`{"value":"OFF"}`), From: bridge.Sender{User: "anna"}},
			{Topic: "edge/n/relay/pump/log", Payload: []byte(`OFF`), From: bridge.Sender{User: "bridge/relay"}},
			{Topic: "edge/n/relay/pump/log", Payload: []byte(`{"why":"` + strings.Repeat("x", maxChange) + `"}`), From: bridge.Sender{User: "bridge/relay"}},
			{Topic: "edge/n/other/pump/log", Payload: []byte(`{}`), From: bridge.Sender{User: "bridge/relay"}},
		} {
			if err := s.memory.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		changes(t, s, 1000, 1001)
		stop() // What was said until now is written.
		written(1001)
		lines, _, _ = readTrail[outputLine](n.recorder.trail)
		for i, line := range lines {
			if line.Output != "relay/pump" || line.ID != fmt.Sprint(i) || line.Value != "ON" {
				t.Fatalf("line %d is %+v", i, line)
			}
		}
	})
}

// TestRecordFails has a folder that cannot be written to for a while: little is lost,
// and no more memory is taken than may be.
func TestRecordFails(t *testing.T) {
	data := t.TempDir() + "/data"
	synctest.Test(t, func(t *testing.T) {
		n, s, stop := recording(t, data)
		changes(t, s, 0, 1)
		time.Sleep(time.Hour)
		for i := range 10 {
			changes(t, s, i*1000, i*1000+1000)
			synctest.Wait()
		}
		n.recorder.mu.Lock()
		got, dropped := len(n.recorder.pending), n.recorder.dropped
		n.recorder.mu.Unlock()
		if got > maxPending || dropped == 0 {
			t.Errorf("%d bytes wait, and %d changes were dropped; want %d bytes at most", got, dropped, maxPending)
		}
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recordTime)
		synctest.Wait()
		if lines, _, err := readTrail[outputLine](n.recorder.trail); err != nil || len(lines) < 1000 {
			t.Errorf("%d lines are written, %v; want what has waited", len(lines), err)
		}
		stop()
	})
}

// TestNewer goes on after the last line that was printed, even if the file has become
// the older one and was forgotten.
func TestNewer(t *testing.T) {
	line := func(id string) outputLine { return outputLine{"relay/pump", bridge.Change{ID: id}} }
	lines := []outputLine{line("1"), line("2"), line("3")}
	for last, want := range map[string]int{"": 3, "1": 2, "3": 0, "7": 3} {
		l := new(pinsLog)
		if last != "" {
			l.last = new(line(last))
		}
		if got := l.newer(lines); len(got) != want {
			t.Errorf("after %q come %v, want %d", last, got, want)
		}
	}
}
