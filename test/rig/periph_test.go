//go:build linux

package rig

import (
	"os"
	"strings"
	"testing"

	"edge/test/rig/agent"
)

// TestKernelPin runs in the guest what TestKernelPin of internal/periphpin is: a pin of
// periph on the kernel's chip.
func TestKernelPin(t *testing.T) {
	g := startBare(t)
	path, err := buildTests("./internal/periphpin")
	g.ok(err)
	program, err := os.ReadFile(path)
	g.ok(err)
	g.put("/tmp/periphpin.test", program)
	exit, err := g.agent.Run(g.ctx, agent.Command{Args: []string{
		"/tmp/periphpin.test", "-test.run", "^TestKernelPin$", "-test.v", "-test.count", "1",
	}})
	g.ok(err)
	if exit.Code != 0 || !strings.Contains(exit.Output, "--- PASS: TestKernelPin") {
		t.Errorf("the test ended with code %d:\n%s", exit.Code, exit.Output)
	}
}
