package uart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Host is a machine with serial ports. Its zero value is this machine.
type Host struct {
	// Root is put before /dev, /sys and /proc; tests have their own.
	Root string
}

func (h Host) path(elem ...string) string {
	return filepath.Join(h.Root+"/", filepath.Join(elem...))
}

// Find returns the device that name means now, such as /dev/ttyUSB0; see
// Config.Port for what name may be. The error wraps fs.ErrNotExist or
// ErrAmbiguous, and says which ports there are.
func Find(name string) (string, error) { return Host{}.Find(name) }

// Find is as the function Find.
func (h Host) Find(name string) (string, error) {
	var links []string
	for _, pattern := range h.patterns(name) {
		links = append(links, matches(pattern)...)
	}
	devices := map[string]string{} // by the shortest name, for the message
	for _, l := range links {
		dev, err := filepath.EvalSymlinks(l)
		if err != nil {
			continue // the link outlived its device
		}
		if old, ok := devices[dev]; !ok || len(l) < len(old) {
			devices[dev] = l
		}
	}
	switch len(devices) {
	case 1:
		for dev := range devices {
			return dev, nil
		}
	case 0:
		return "", fmt.Errorf("port %s: %w; %s", name, fs.ErrNotExist, h.known())
	}
	var names []string
	for _, l := range devices {
		names = append(names, l)
	}
	slices.Sort(names)
	return "", fmt.Errorf("port %s: %w: %s", name, ErrAmbiguous, strings.Join(names, ", "))
}

// patterns are the places where name is looked for.
func (h Host) patterns(name string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	return []string{
		h.path("dev/serial/by-id", name),
		h.path("dev/serial/by-path", name),
		h.path("dev", name),
	}
}

// matches takes a name that exists literally, since names of devices may have
// brackets in them.
func matches(pattern string) []string {
	if _, err := os.Lstat(pattern); err == nil {
		return []string{pattern}
	}
	found, _ := filepath.Glob(pattern)
	return found
}

// known tells a user which names would have worked.
func (h Host) known() string {
	ids := matches(h.path("dev/serial/by-id/*"))
	if len(ids) == 0 {
		return "no USB adapter is plugged in"
	}
	for i, id := range ids {
		ids[i] = filepath.Base(id)
	}
	return "plugged in: " + strings.Join(ids, ", ")
}

const (
	// poll is how often Wait looks. Pseudo-terminals and machines without udev
	// send no events, so looking is what works everywhere; a look is one stat.
	poll = 250 * time.Millisecond

	// settle is how long Wait gives udev to set the owner of a new device.
	settle = time.Second
)

// Wait returns the device that name means as soon as it is plugged in. The
// error is that of ctx, or wraps ErrAmbiguous.
func Wait(ctx context.Context, name string) (string, error) { return Host{}.Wait(ctx, name) }

// Wait is as the function Wait.
func (h Host) Wait(ctx context.Context, name string) (string, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var since time.Time
	for {
		dev, err := h.Find(name)
		switch {
		case err == nil && since.IsZero():
			since = time.Now()
		case errors.Is(err, fs.ErrNotExist):
			since = time.Time{}
		case err != nil:
			return "", err
		}
		if err == nil && (usable(dev) || time.Since(since) > settle) {
			return dev, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("wait for serial port %s: %w", name, ctx.Err())
		case <-tick.C:
		}
	}
}

func usable(dev string) bool { return unix.Access(dev, unix.R_OK|unix.W_OK) == nil }
