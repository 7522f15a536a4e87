package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A dataDir is the directory in which one process keeps what it keeps.
type dataDir struct {
	path string
	lock *os.File
}

const lockName = "lock"

// openDataDir makes the directory and locks it: two processes with one store
// would destroy it.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w; name another one with --data", err)
	}
	name := filepath.Join(path, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w; name another one with --data", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by %s; stop that, or name another one with --data", path, holder(name))
		}
		return nil, fmt.Errorf("lock data directory %s: %w", path, err)
	}
	d := &dataDir{path, f}
	if err := d.sign(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// sign writes the process id into the lock, for people and for error messages;
// nothing else depends on it.
func (d *dataDir) sign() error {
	if err := d.lock.Truncate(0); err != nil {
		return fmt.Errorf("lock data directory: %w", err)
	}
	if _, err := d.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("lock data directory: %w", err)
	}
	return nil
}

// Close lets another process have the directory. The lock file stays: to
// remove it would race with who opens it now.
func (d *dataDir) Close() error { return d.lock.Close() }

func holder(lock string) string {
	b, err := os.ReadFile(lock)
	pid := strings.TrimSpace(string(b))
	if err != nil || pid == "" {
		return "another process"
	}
	return "process " + pid
}

// defaultDataDir is where data is if neither flag nor file says so.
func defaultDataDir() string {
	if dir := env("EDGE_DATA", "STATE_DIRECTORY"); dir != "" {
		dir, _, _ = strings.Cut(dir, ":") // systemd joins several by colons
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/edge"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "edge")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "edge-data"
	}
	return filepath.Join(home, ".local", "state", "edge")
}
