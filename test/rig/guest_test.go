//go:build linux

package rig

import (
	"context"
	"os"
	"testing"
	"time"

	"edge/test/rig/agent"
	"edge/test/rig/qemu"
)

// lines is how many a Raspberry Pi 4 has; label is its chip's.
const (
	lines = 54
	label = "pinctrl-bcm2711"
)

// A guest is a machine that runs. What goes wrong in its methods fails the test.
type guest struct {
	t       *testing.T
	ctx     context.Context // of the test
	machine *qemu.Machine
	agent   *agent.Client
}

// start starts a machine with a chip whose lines are pulled down. It ends with
// the test.
func start(t *testing.T) *guest {
	t.Helper()
	g := startBare(t)
	g.ok(g.agent.Make(g.ctx, agent.Chip{Label: label, Lines: lines}))
	return g
}

// startBare starts a machine without a chip, beside those of other tests.
func startBare(t *testing.T) *guest {
	t.Helper()
	if why := os.Getenv("RIG_SKIP"); why != "" {
		t.Skip(why)
	}
	t.Parallel() // A machine uses one CPU.
	img, err := theImage()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	began := time.Now()
	cfg := img.Config
	cfg.Dir, cfg.Snapshot = t.TempDir(), img.snapshot+"/memory"
	m, err := qemu.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, ctx: ctx, machine: m}
	t.Cleanup(func() {
		t.Logf("%v, of which the CPU worked %v", time.Since(began).Round(time.Second), m.Kill().Round(time.Second))
		if t.Failed() {
			t.Logf("the guest's console:\n%s", m.Console())
		}
	})
	g.ok(m.Resume(ctx))
	g.agent, err = agent.Dial(ctx, m.Address(agent.Port))
	g.ok(err)
	t.Cleanup(func() { g.agent.Close() })
	g.ok(g.agent.SetClock(ctx, time.Now()))
	return g
}

func (g *guest) ok(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// put writes a file.
func (g *guest) put(path string, data []byte) {
	g.t.Helper()
	g.ok(g.agent.Put(g.ctx, agent.File{Path: path, Mode: 0o755, Data: data}))
}

// pull holds a line from outside.
func (g *guest) pull(line int, high bool) {
	g.t.Helper()
	g.ok(g.agent.Pull(g.ctx, agent.Level{Line: line, High: high}))
}

// level returns the level of a line.
func (g *guest) level(line int) bool {
	g.t.Helper()
	high, err := g.agent.Level(g.ctx, line)
	g.ok(err)
	return high
}
