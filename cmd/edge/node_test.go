package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/broker"
	"edge/broker/access"
	"edge/broker/delivery"
	"edge/broker/journal"
)

// A fakeServer is a broker in memory that remembers what it was told.
type fakeServer struct {
	memory bridgetest.Client

	mu     sync.Mutex
	loaded []broker.Config
	refuse error // what Reload answers
	closed bool
}

func (s *fakeServer) URLs() []string                         { return []string{"tcp://127.0.0.1:1"} }
func (s *fakeServer) Client(string) bridge.Client            { return &s.memory }
func (s *fakeServer) Bridge(string, ...string) bridge.Client { return &s.memory }

func (s *fakeServer) Stats() broker.Stats {
	j := journal.Stats{
		State: journal.Full, Bytes: 9, Pending: 6, Disk: 8, Blocks: 12, Kept: 30, Refused: 5, Damaged: 4, Failures: 3, Cleaned: 2,
		Flushes: 4, FlushTime: 4500 * time.Millisecond,
	}
	j.Appended[journal.Published] = journal.Tally{Records: 1, Bytes: 60}
	j.Appended[journal.SessionBegun] = journal.Tally{Records: 1, Bytes: 40}
	j.FlushUnder[0], j.FlushUnder[1], j.FlushUnder[len(j.FlushUnder)-1] = 1, 2, 1
	return broker.Stats{Dropped: delivery.Dropped{Slow: 7}, Denied: broker.Denied{Receive: 5}, Journal: &j}
}

func (s *fakeServer) Snapshot() (*journal.Snapshot, error) { return nil, journal.ErrClosed }

func (*fakeServer) UsersChanged()                     {}
func (*fakeServer) HoldsLowPort() bool                { return false }
func (*fakeServer) Clients() []broker.ConnectedClient { return nil }
func (*fakeServer) Kick(string) error                 { return nil }
func (*fakeServer) Pairing(bool)                      {}
func (*fakeServer) CheckRoles([]string) error         { return nil }

func (*fakeServer) Explain(string, string, access.Action, string) broker.Explanation {
	return broker.Explanation{}
}

func (*fakeServer) Denials() []broker.Denial { return nil }

func (s *fakeServer) Reload(cfg broker.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	s.loaded = append(s.loaded, cfg)
	return nil
}

func (s *fakeServer) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// A testNode is a node that runs in this process.
type testNode struct {
	*fakeServer
	dir, file string
	log       *syncBuffer
	stop      func() error // stops the node, once, and returns its error
}

func (n *testNode) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(n.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *testNode) reload(t *testing.T) reply {
	t.Helper()
	r, err := ask(t.Context(), filepath.Join(n.dir, "data"), "reload")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newTestNode makes a node with twoTicks.
func newTestNode(t *testing.T) (*testNode, *node, *plan) {
	t.Helper()
	dir := t.TempDir()
	n := &testNode{fakeServer: new(fakeServer), dir: dir, file: filepath.Join(dir, "edge.yaml"), log: new(syncBuffer)}
	n.write(t, twoTicks)
	override := func(s *settings) { s.Data, s.Node = filepath.Join(dir, "data"), "n" }
	p, err := readPlan(n.file, override)
	if err != nil {
		t.Fatal(err)
	}
	level := new(slog.LevelVar)
	log := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: level}))
	return n, &node{
		log: log, level: level, notify: notifier{log},
		open: func(broker.Config, string, *slog.Logger) (server, error) { return n.fakeServer, nil },
		read: func() (*plan, error) { return readPlan(n.file, override) },
	}, p
}

// startNode runs a node with twoTicks and returns when it is ready.
func startNode(t *testing.T) *testNode {
	t.Helper()
	n, it, p := newTestNode(t)
	ready := make(chan struct{})
	it.ready = func([]string) { close(ready) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- it.run(ctx, p) }()
	n.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("run returned %v before it was ready", err)
	case <-time.After(20 * time.Second):
		t.Fatal("not ready in time")
	}
	return n
}

// TestStoppedWhileItStarts ends a node before it is ready: it was asked to, so that
// is no error.
func TestStoppedWhileItStarts(t *testing.T) {
	n, it, p := newTestNode(t)
	ctx, stop := context.WithCancel(t.Context())
	it.open = func(broker.Config, string, *slog.Logger) (server, error) {
		stop()
		return n.fakeServer, nil
	}
	if err := it.run(ctx, p); err != nil {
		t.Error(err)
	}
	if !n.closed {
		t.Error("the broker was left open")
	}
}

// TestBrokerOnStatus has what the broker says of itself on status/attr.
func TestBrokerOnStatus(t *testing.T) {
	n := startNode(t)
	const topic = "edge/n/status/attr"
	bridgetest.Expect(t, &n.memory, topic, `{"journal":"ok","memory":"ok","guard":"none"}`)
	for _, step := range []struct{ name, payload, want string }{
		{"journal/state", "full", `{"journal":"full","memory":"ok","guard":"none"}`},
		{"journal/bytes", "failing", ""},
		{"journal/aside", `["segment-0001.log.damaged-x"]`, `{"journal":"full","memory":"ok","guard":"none","aside":["segment-0001.log.damaged-x"]}`},
		{"journal/state", "", ""},
		{"journal/state", "ok", `{"journal":"ok","memory":"ok","guard":"none","aside":["segment-0001.log.damaged-x"]}`},
		{"memory/state", "tight", `{"journal":"ok","memory":"tight","guard":"none","aside":["segment-0001.log.damaged-x"]}`},
		{"memory/used", "5", ""},
		{"memory/state", "ok", `{"journal":"ok","memory":"ok","guard":"none","aside":["segment-0001.log.damaged-x"]}`},
	} {
		m := bridge.Message{Topic: "$SYS/broker/" + step.name, Payload: []byte(step.payload), Retain: true}
		if err := n.memory.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if step.want != "" {
			bridgetest.Expect(t, &n.memory, topic, step.want)
		}
	}
}

const twoTicks = `
bridges:
  a: {tick: {interval: 1h}}
  b: {tick: {interval: 1h}}
`

func TestNodeSaysWhatItIs(t *testing.T) {
	n := startNode(t)
	bridgetest.Expect(t, &n.memory, "edge/n/status", "online")
	bridgetest.Expect(t, &n.memory, "edge/n/a/status", "online")
	bridgetest.Expect(t, &n.memory, "edge/n/b/status", "online")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	bridgetest.Expect(t, &n.memory, "edge/n/a/status", "offline")
	bridgetest.Expect(t, &n.memory, "edge/n/status", "offline")
	if !n.closed {
		t.Error("the broker was not closed")
	}
	if log := n.log.String(); !strings.Contains(log, "ready") || !strings.Contains(log, "tcp://127.0.0.1:1") {
		t.Errorf("no line with ready and the URL in the log:\n%s", log)
	}
}

func TestReload(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", twoTicks, nil},
		{"a comment", twoTicks + "# and so on\n", nil},
		{"one bridge", strings.Replace(twoTicks, "b: {tick: {interval: 1h", "b: {tick: {interval: 2h", 1), []string{"bridge b restarted"}},
		{"one more", twoTicks + "  c: {tick: {}}\n", []string{"bridge c added"}},
		{"one less", "bridges:\n  a: {tick: {interval: 1h}}\n", []string{"bridge b removed"}},
		{"renamed", strings.Replace(twoTicks, "  b:", "  c:", 1), []string{"bridge b removed", "bridge c added"}},
		{"log level", twoTicks + "log_level: debug\n", []string{"log_level"}},
		{"broker", twoTicks + "broker: {allow_anonymous: true}\n", []string{"broker"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := startNode(t)
			n.write(t, tt.text)
			r := n.reload(t)
			if !r.OK || !slices.Equal(r.Changed, tt.want) {
				t.Errorf("reload answers %+v, want changed %q", r, tt.want)
			}
		})
	}
}

func TestReloadKeepsWhatDidNotChange(t *testing.T) {
	n := startNode(t)
	bridgetest.Expect(t, &n.memory, "edge/n/a/counter", "0")
	set := bridge.Message{Topic: "edge/n/a/counter/set", Payload: []byte("7")}
	bridgetest.Expect(t, &n.memory, "edge/n/a/status", "online")
	if err := n.memory.Publish(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	bridgetest.Expect(t, &n.memory, "edge/n/a/counter", "7")
	n.write(t, "bridges:\n  a: {tick: {interval: 1h}}\n")
	if r := n.reload(t); !r.OK {
		t.Fatalf("reload answers %+v", r)
	}
	// A counter that was started anew would say 0 first.
	set.Payload = []byte("8")
	if err := n.memory.Publish(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	bridgetest.Expect(t, &n.memory, "edge/n/a/counter", "8")
	for _, topic := range []string{"edge/n/b/status", "edge/n/b/meta", "edge/n/b/counter"} {
		if got := retained(t, &n.memory, topic); got != "" {
			t.Errorf("%s is %q after its bridge was removed, want nothing", topic, got)
		}
	}
}

func TestReloadWithErrorsChangesNothing(t *testing.T) {
	tests := []struct {
		name, text string
		config     bool
		want       string
	}{
		{"unknown key", "bridges:\n  a: {tick: {intervall: 1h}}\n", true, "edge.yaml:2"},
		{"another prefix", twoTicks + "prefix: house\n", true, "cannot change"},
		{"another user", twoTicks + "user: nobody\n", true, "cannot change"},
		{"low ports", twoTicks + "low_ports: true\n", true, "cannot change"},
		{"no file", "\x00", true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := startNode(t)
			n.write(t, tt.text)
			r := n.reload(t)
			if r.OK || r.Config != tt.config || !strings.Contains(r.Error, tt.want) {
				t.Errorf("reload answers %+v, want a mistake %q", r, tt.want)
			}
			bridgetest.Expect(t, &n.memory, "edge/n/b/status", "online")
			if len(n.loaded) > 0 {
				t.Errorf("the broker was given %+v", n.loaded)
			}
		})
	}
}

func TestReloadThatTheBrokerRefuses(t *testing.T) {
	n := startNode(t)
	n.mu.Lock()
	n.refuse = errors.New("address already in use")
	n.mu.Unlock()
	n.write(t, "broker: {allow_anonymous: true}\n")
	if r := n.reload(t); r.OK || r.Config || !strings.Contains(r.Error, "already in use") {
		t.Errorf("reload answers %+v, want the broker's error", r)
	}
	bridgetest.Expect(t, &n.memory, "edge/n/a/status", "online")
	if r, err := ask(t.Context(), filepath.Join(n.dir, "data"), "dance"); err != nil || r.OK {
		t.Errorf("ask dance = %+v, %v, want a refusal", r, err)
	}
}

func TestDataDirHasOneOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-name/", 20))
	first, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openDataDir(dir)
	if err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("second openDataDir = %v, want who has it", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := openDataDir(dir)
	if err != nil {
		t.Fatalf("openDataDir after Close = %v", err)
	}
	defer second.Close()
	// A socket fits into a path that is too long for one.
	ctx, cancel := context.WithCancel(t.Context())
	c, err := openControl(dir, func(_ context.Context, _ author, verb string) reply { return reply{Error: verb} })
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); c.serve(ctx) }()
	r, err := ask(t.Context(), dir, "echo")
	cancel()
	<-served
	if err != nil || r.Error != "echo" {
		t.Errorf("ask = %+v, %v, want the echo", r, err)
	}
	if _, err := ask(t.Context(), dir, "echo"); exitCode(t.Context(), err) != exitUnreachable {
		t.Errorf("ask a hub that ended = %v, want exit code %d", err, exitUnreachable)
	}
}

// TestStopDoesNotWaitForWhoAsks has somebody at the control socket who says
// nothing, beside whom others are answered.
func TestStopDoesNotWaitForWhoAsks(t *testing.T) {
	n := startNode(t)
	silent, err := net.Dial("unix", filepath.Join(n.dir, "data", controlName))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if r := n.reload(t); !r.OK {
		t.Errorf("reload beside a silent connection answers %+v", r)
	}
	late := time.AfterFunc(controlTimeout/2, func() {
		t.Error("the end of the hub waits for a silent connection")
		silent.Close()
	})
	defer late.Stop()
	if err := n.stop(); err != nil {
		t.Error(err)
	}
}

// TestBackupSaysWhy it cannot be had.
func TestBackupSaysWhy(t *testing.T) {
	n := startNode(t)
	file := filepath.Join(t.TempDir(), "hub.edge")
	code, msg := edge(t, "backup", file, "--data", filepath.Join(n.dir, "data"))
	if want := "copy the store: " + journal.ErrClosed.Error(); code != exitFailed || !strings.Contains(msg, want) {
		t.Errorf("backup exits with %d: %q, want %d and %q", code, msg, exitFailed, want)
	}
	if left, _ := filepath.Glob(file + "*"); len(left) > 0 {
		t.Errorf("backup left %q", left)
	}
}

// retained returns what is retained at topic.
func retained(t *testing.T, c bridge.Client, topic string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan string, 16)
	const mark = "the mark behind what was retained"
	err := c.Subscribe(ctx, topic, func(m bridge.Message) { got <- string(m.Payload) })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(ctx, bridge.Message{Topic: topic, Payload: []byte(mark)}); err != nil {
		t.Fatal(err)
	}
	if first := <-got; first != mark {
		return first
	}
	return ""
}

// A syncBuffer collects what several goroutines write.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// waitUntil polls what nothing else can tell.
func waitUntil(ctx context.Context, happened func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
