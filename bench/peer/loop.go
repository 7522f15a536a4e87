package peer

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// loopSource is the program in Python that is compared with edge where pins are.
//
//go:embed loop.py
var loopSource []byte

// A Loop is a running loop.py: a bridge of two pins that polls. Its pins are files.
type Loop struct {
	*Process
	Output *os.File // from which each level of its output can be read, as 0 or 1
	input  string
}

// StartLoop starts loop.py as a client of the broker at addr, with topics below
// prefix, and returns when it has subscribed. The error wraps ErrMissing if Python or
// its library is not installed.
func StartLoop(ctx context.Context, place Placement, addr, prefix string) (*Loop, error) {
	python, err := pythonWithPaho(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-loop")
	if err != nil {
		return nil, err
	}
	l := &Loop{input: filepath.Join(dir, "input")}
	program, output := filepath.Join(dir, "loop.py"), filepath.Join(dir, "output")
	err = errors.Join(l.Set(false), os.WriteFile(program, loopSource, 0o600), unix.Mkfifo(output, 0o600))
	if err == nil {
		// With the right to write, opening does not wait for the one who writes.
		l.Output, err = os.OpenFile(output, os.O_RDWR, 0)
	}
	if err == nil {
		l.Process, err = Command(ctx, place, []string{python, program, host, port, l.input, output, prefix}, dir, "ready")
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := l.Ready(ctx); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

// Set changes the level of the input.
func (l *Loop) Set(high bool) error {
	level := "0"
	if high {
		level = "1"
	}
	// It is there whole or not at all: the loop may be reading.
	if err := os.WriteFile(l.input+".new", []byte(level), 0o600); err != nil {
		return err
	}
	return os.Rename(l.input+".new", l.input)
}

// Stop ends the program.
func (l *Loop) Stop() error { return errors.Join(l.Process.Stop(), l.Output.Close()) }

// pythonWithPaho returns an interpreter that has paho-mqtt: that of the system, or the
// first of the path.
func pythonWithPaho(ctx context.Context) (string, error) {
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.CommandContext(ctx, path, "-c", "import paho.mqtt.client").Run() == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("python3 with paho-mqtt: %w: run `make peers`", ErrMissing)
}
