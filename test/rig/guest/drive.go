//go:build linux

package main

import (
	"os"
	"runtime"
	"time"

	"edge/test/rig/agent"
)

// Drive implements agent.Client. It stays on one thread: gpio-sim's interrupt
// comes on the CPU that wrote, so that the next edge does not overtake it.
func (a *Agent) Drive(d agent.Drive, took *time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var files []*os.File
	var high []bool
	for _, line := range d.Lines {
		f, err := a.sim.pull(line)
		if err != nil {
			return err
		}
		v, err := a.sim.level(line)
		if err != nil {
			return err
		}
		h, err := level(v)
		if err != nil {
			return err
		}
		files, high = append(files, f), append(high, h)
	}
	start := time.Now()
	for n := range d.Edges {
		if d.Rate > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(d.Rate))))
		}
		for i, f := range files {
			high[i] = !high[i]
			if err := pull(f, high[i]); err != nil {
				return err
			}
		}
	}
	*took = time.Since(start)
	return nil
}
