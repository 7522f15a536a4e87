//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"edge/test/rig/agent"
)

// A sim is a chip of gpio-sim (Documentation/admin-guide/gpio/gpio-sim.rst in the
// kernel's sources). Its pull files stay open: opening one takes longer than
// writing it.
type sim struct {
	agent.Chip
	dir    string // in sysfs, with a folder for each line
	mu     sync.Mutex
	pulls  map[int]*os.File
	levels map[int]*os.File
}

const (
	config = "/sys/kernel/config/gpio-sim/rig"
	bank   = config + "/bank0"
)

// Make implements agent.Client.
func (a *Agent) Make(c agent.Chip, _ *agent.None) error {
	if a.sim != nil {
		return errors.New("there is a chip already")
	}
	for _, dir := range []string{config, bank} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for file, value := range map[string]string{"num_lines": strconv.Itoa(c.Lines), "label": c.Label} {
		if err := os.WriteFile(filepath.Join(bank, file), []byte(value), 0); err != nil {
			return err
		}
	}
	a.sim = &sim{Chip: c, pulls: make(map[int]*os.File), levels: make(map[int]*os.File)}
	return a.Plug(true, nil)
}

// Plug implements agent.Client.
func (a *Agent) Plug(in bool, _ *agent.None) error {
	live := filepath.Join(config, "live")
	if !in {
		a.sim.close()
		return os.WriteFile(live, []byte("0"), 0)
	}
	if err := os.WriteFile(live, []byte("1"), 0); err != nil {
		return err
	}
	device, err := os.ReadFile(filepath.Join(config, "dev_name"))
	if err != nil {
		return err
	}
	chip, err := os.ReadFile(filepath.Join(bank, "chip_name"))
	if err != nil {
		return err
	}
	a.sim.dir = filepath.Join("/sys/devices/platform", strings.TrimSpace(string(device)), strings.TrimSpace(string(chip)))
	return nil
}

// Pull implements agent.Client.
func (a *Agent) Pull(p agent.Level, _ *agent.None) error {
	f, err := a.sim.pull(p.Line)
	if err != nil {
		return err
	}
	return pull(f, p.High)
}

// Level implements agent.Client.
func (a *Agent) Level(line int, high *bool) error {
	f, err := a.sim.level(line)
	if err != nil {
		return err
	}
	*high, err = level(f)
	return err
}

func (s *sim) pull(line int) (*os.File, error) { return s.open(s.pulls, line, "pull", os.O_WRONLY) }

func (s *sim) level(line int) (*os.File, error) { return s.open(s.levels, line, "value", os.O_RDONLY) }

func (s *sim) open(files map[int]*os.File, line int, name string, mode int) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := files[line]; f != nil {
		return f, nil
	}
	f, err := os.OpenFile(filepath.Join(s.dir, fmt.Sprintf("sim_gpio%d", line), name), mode, 0)
	if err == nil {
		files[line] = f
	}
	return f, err
}

func (s *sim) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, files := range []map[int]*os.File{s.pulls, s.levels} {
		for line, f := range files {
			f.Close()
			delete(files, line)
		}
	}
}

var pullUp, pullDown = []byte("pull-up"), []byte("pull-down")

func pull(f *os.File, high bool) error {
	word := pullDown
	if high {
		word = pullUp
	}
	_, err := f.WriteAt(word, 0)
	return err
}

func level(f *os.File) (bool, error) {
	var b [4]byte
	n, err := f.ReadAt(b[:], 0)
	if n == 0 {
		return false, err
	}
	return b[0] == '1', nil
}
