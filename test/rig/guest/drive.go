//go:build linux

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"edge/test/rig/agent"
)

// Drive implements agent.Client. It shares one CPU with the kernel's threads that
// make events of interrupts and go before it. On another CPU these might come to run only
// after the next edge, and make one event of two, which no number would tell of.
func (a *Agent) Drive(d agent.Drive, driven *agent.Driven) error {
	runtime.LockOSThread() // and not unlocked: the thread ends with this goroutine
	if err := shareCPU(0); err != nil {
		return err
	}
	var files []*os.File
	var high []bool
	for _, line := range d.Lines {
		f, err := a.sim.pull(line)
		if err != nil {
			return err
		}
		var h bool
		if err := a.Level(line, &h); err != nil {
			return err
		}
		files, high = append(files, f), append(high, h)
	}
	start := time.Now()
	for (d.Edges == 0 || driven.Edges < d.Edges) && (d.For == 0 || driven.Took < d.For) {
		if d.Rate > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(driven.Edges) * time.Second / time.Duration(d.Rate))))
		}
		for i, f := range files {
			high[i] = !high[i]
			if err := pull(f, high[i]); err != nil {
				return err
			}
		}
		driven.Edges++
		driven.Took = time.Since(start)
	}
	if d.Kill.PID == 0 {
		return nil
	}
	return a.Kill(d.Kill, nil)
}

// shareCPU has this thread and those of interrupts run on one CPU.
func shareCPU(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return err
	}
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(comm), "irq/") {
			continue // It has ended, or is another.
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(pid, &set); err != nil {
			return err
		}
	}
	return nil
}
