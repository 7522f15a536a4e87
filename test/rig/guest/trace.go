//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"edge/test/rig/agent"
)

// The kernel notes each level that it gives to a line, by an event of
// include/trace/events/gpio.h in its sources; reading a level is one, too, and
// filtered out.
const (
	trace  = "/sys/kernel/tracing/trace"
	events = "/sys/kernel/tracing/events/gpio/gpio_value"
)

// traceLevels begins to note the levels that are given to lines, from nothing.
func traceLevels() error {
	for _, w := range []struct{ path, value string }{
		{events + "/filter", "get==0"}, {events + "/enable", "1"}, {trace, ""},
	} {
		if err := os.WriteFile(w.path, []byte(w.value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

var (
	entries = regexp.MustCompile(`entries-in-buffer/entries-written: (\d+)/(\d+)`)
	set     = regexp.MustCompile(`(\d+)\.(\d{6}): gpio_value: (\d+) set ([01])`)
)

// tracedLevels returns the levels that were given to lines of a chip that has the
// global numbers from base on, in their order.
func tracedLevels(base, lines int) ([]agent.Change, error) {
	text, err := os.ReadFile(trace)
	if err != nil {
		return nil, err
	}
	if n := entries.FindSubmatch(text); n == nil || string(n[1]) != string(n[2]) {
		return nil, errors.New("the kernel's trace is not complete")
	}
	var given []agent.Change
	for _, m := range set.FindAllStringSubmatch(string(text), -1) {
		at, err := time.ParseDuration(m[1] + "s" + m[2] + "us")
		if err != nil {
			return nil, err
		}
		number, err := strconv.Atoi(m[3])
		if err != nil {
			return nil, err
		}
		if line := number - base; line >= 0 && line < lines {
			given = append(given, agent.Change{Level: agent.Level{Line: line, High: m[4] == "1"}, At: at})
		}
	}
	return given, nil
}

// globalBase returns the global number of the first line of the chip with a label.
func globalBase(label string) (int, error) {
	paths, err := filepath.Glob("/sys/class/gpio/gpiochip*/label")
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		l, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(l)) != label {
			continue
		}
		base, err := os.ReadFile(filepath.Join(filepath.Dir(path), "base"))
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(string(base)))
	}
	return 0, fmt.Errorf("no chip has the label %q", label)
}
