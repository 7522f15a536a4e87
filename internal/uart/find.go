package uart

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Host is a machine with serial ports. Its zero value is this machine.
type Host struct {
	// Root is put before /dev, /sys and /proc; tests have their own.
	Root string

	watch *watch // of tests that have a Root
}

func (h Host) path(elem ...string) string {
	return filepath.Join(h.Root+"/", filepath.Join(elem...))
}

// Find returns the device that name means now, such as /dev/ttyUSB0; see
// Config.Port for what name may be. The error wraps fs.ErrNotExist or
// ErrAmbiguous, and says which ports there are. A source on the network is taken
// to be there; Open tells.
func Find(name string) (string, error) { return Host{}.Find(name) }

// Find is as the function Find.
func (h Host) Find(name string) (string, error) {
	if s, ok, err := parseSource(name); ok {
		return s.name(), err
	}
	devices := map[string]string{} // by the shortest name, for the message
	for _, pattern := range h.patterns(name) {
		for _, l := range matches(pattern) {
			dev, err := filepath.EvalSymlinks(l)
			if err != nil {
				continue // the link outlived its device
			}
			if old, ok := devices[dev]; !ok || len(l) < len(old) {
				devices[dev] = l
			}
		}
	}
	// Of adapters with the same name udev's link means the one that came last;
	// here they are seen to be several.
	adapters := h.adapters()
	for _, p := range adapters {
		if _, ok := devices[p.Path]; !ok && h.answers(p, name) {
			devices[p.Path] = p.Path
		}
	}
	switch len(devices) {
	case 1:
		for dev := range devices {
			return dev, nil
		}
	case 0:
		return "", fmt.Errorf("port %s: %w; %s", name, fs.ErrNotExist, h.known(adapters))
	}
	return "", fmt.Errorf("port %s: %w: %s", name, ErrAmbiguous, strings.Join(candidates(devices, adapters), ", "))
}

// candidates are names that tell the devices apart: for adapters that by-id, or
// the socket where two have the same.
func candidates(devices map[string]string, adapters []Info) (names []string) {
	count := map[string]int{}
	for _, p := range adapters {
		count[p.ByID]++
	}
	for _, p := range adapters {
		if _, ok := devices[p.Path]; !ok {
			continue
		}
		devices[p.Path] = cmp.Or(p.ByPath, p.Path)
		if p.ByID != "" && count[p.ByID] == 1 {
			devices[p.Path] = p.ByID
		}
	}
	return slices.Sorted(maps.Values(devices))
}

// patterns are the places where name is looked for.
func (h Host) patterns(name string) []string {
	switch {
	case identity.MatchString(name):
		return nil
	case strings.Contains(name, "/"):
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
func (h Host) known(adapters []Info) string {
	ids := map[string]bool{}
	for _, id := range matches(h.path("dev/serial/by-id/*")) {
		ids[filepath.Base(id)] = true
	}
	for _, p := range adapters {
		ids[p.ByID] = p.ByID != ""
	}
	delete(ids, "")
	if len(ids) == 0 {
		return "no USB adapter is plugged in"
	}
	return "plugged in: " + strings.Join(slices.Sorted(maps.Keys(ids)), ", ")
}
