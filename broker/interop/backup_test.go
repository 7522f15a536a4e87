package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// TestBackup takes a backup while publishers and a subscriber are at work, kills
// the broker and restores the backup elsewhere. Whatever was acknowledged before
// the backup began is there, in order, QoS 2 once.
func TestBackup(t *testing.T) {
	t.Parallel()
	stricter(t, "it has no backups")
	s := start(t)
	away := login{version: v5, id: "away", keep: true}
	c := s.connect(t, away)
	c.subscribe("kept/#", 2)
	c.disconnect()
	c = s.connect(t, login{id: "keeper"})
	c.publish(message{topic: "state", qos: 1, retain: true, payload: "retained"})

	stop := press(t, s)
	var acked atomic.Int64
	more := make(chan struct{})
	wait := beside(t, func(t testing.TB) { countTo(s.connect(t, login{id: "counter"}), &acked, more) })
	for acked.Load() < 100 {
		elapse(patience / 10_000)
	}
	before := acked.Load()
	file := filepath.Join(t.TempDir(), "hub.edge")
	command(t, "backup", file, "--data", filepath.Join(s.dir, "data"))
	close(more)
	wait()
	s.kill(t)
	stop()

	other := &server{listeners: s.listeners}
	other.dir = t.TempDir()
	command(t, "restore", file, "--data", filepath.Join(other.dir, "data"))
	command(t, "store", "check", "--data", filepath.Join(other.dir, "data"))
	other = other.again(t)
	look := other.connect(t, login{id: "look"})
	look.subscribe("state", 1)
	if m := look.receive(); m.payload != "retained" || !m.retain {
		t.Errorf("the retained message is %+v", m)
	}
	look.publish(message{topic: "kept/end", qos: 1, payload: "end"})
	sub, a := other.resume(t, away)
	if !a.present {
		t.Fatal("the session is not there")
	}
	n := 0
	for m := sub.receive(); m.topic != "kept/end"; m = sub.receive() {
		if m.payload != fmt.Sprint(n) {
			t.Fatalf("received %q, want %d", m.payload, n)
		}
		n++
	}
	t.Logf("%d messages acknowledged before the backup, %d in it", before, n)
	if int64(n) < before {
		t.Errorf("%d messages were acknowledged before the backup began, and %d are in it", before, n)
	}
}

// countTo publishes numbers, and adds up in acked what was acknowledged, until done is closed.
func countTo(c *client, acked *atomic.Int64, done <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		c.publish(message{topic: "kept/count", qos: byte(1 + i%2), payload: fmt.Sprint(i)})
		acked.Add(1)
	}
}

// press puts load on a broker, so that its journal moves on: two publishers, and
// a subscriber that takes it all. stop waits for them after the broker has gone.
func press(t testing.TB, s *server) (stop func()) {
	t.Helper()
	k := newKilling(t, s, nil)
	waits := []func(){beside(t, func(testing.TB) { _ = k.online.take(s) })}
	for _, p := range k.publishers[:2] {
		waits = append(waits, beside(t, func(testing.TB) { _ = p.press(s) }))
	}
	return func() {
		for _, wait := range waits {
			wait()
		}
	}
}

// command runs a command of edge to its good end.
func command(t testing.TB, args ...string) {
	t.Helper()
	b, err := peer()
	if err != nil {
		t.Fatal(err)
	}
	program := b.(edge).path //nolint:forcetypeassert // See stricter.
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "EDGE_CONFIG="+filepath.Join(t.TempDir(), "none"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("edge %q: %v\n%s", args, err, out)
	}
}
