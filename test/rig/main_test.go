//go:build linux

package rig

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what must come, on a machine that
// emulates another and has other things to do.
const patience = 3 * time.Minute

// The tests need a kernel that build/rig makes. Without it, and without an order
// to skip them, they say so and are not run: what else is tested needs no virtual
// machine.
func TestMain(m *testing.M) {
	if os.Getenv("RIG_KERNEL") == "" {
		fmt.Println("rig: not run; make rig runs these tests")
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir, err := bin(); err == nil {
			os.RemoveAll(dir)
		}
		os.Exit(code)
	}))
}
