package uart_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edge/internal/uart"
)

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// newPTY returns the far end of a port and the path of the port.
func newPTY(t *testing.T) (far *os.File, path string) {
	t.Helper()
	far, path = uart.PTY(t)
	if err := far.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return far, path
}

// open opens a port that is closed after the test.
func open(t *testing.T, cfg uart.Config) *uart.Port {
	t.Helper()
	p, err := uart.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// within returns what do returned, and fails if that took too long.
func within(t *testing.T, what string, do <-chan error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case err := <-do:
		return err
	case <-ctx.Done():
		t.Fatalf("%s did not return within %v", what, patience)
		return nil
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}
