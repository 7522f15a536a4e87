//go:build linux

package rig

import (
	"os"
	"strings"
	"testing"

	"edge/test/rig/agent"
)

// TestKernelChip runs in the guest what TestKernelChip of internal/gpiochip is: the
// suite that the simulated chip passes on every machine. Each of its tests is one
// here.
func TestKernelChip(t *testing.T) {
	g := startBare(t)
	path, err := buildTests("./internal/gpiochip")
	g.ok(err)
	program, err := os.ReadFile(path)
	g.ok(err)
	g.put("/tmp/gpiochip.test", program)
	exit, err := g.agent.Run(g.ctx, agent.Command{Args: []string{
		"/tmp/gpiochip.test", "-test.run", "^TestKernelChip$", "-test.v", "-test.count", "1",
	}})
	g.ok(err)
	ran := 0
	for line := range strings.Lines(exit.Output) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		name, sub, _ := strings.Cut(rest, "/")
		if name != "TestKernelChip" || sub == "" {
			continue
		}
		ran++
		t.Run(strings.Fields(sub)[0], func(t *testing.T) {
			if word != "--- PASS" {
				t.Error(strings.TrimSpace(line))
			}
		})
	}
	if exit.Code != 0 || ran == 0 {
		t.Errorf("the suite ended with code %d after %d tests:\n%s", exit.Code, ran, exit.Output)
	}
}
