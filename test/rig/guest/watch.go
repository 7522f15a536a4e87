//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"edge/test/rig/agent"
)

// maxChanges bounds what a watch keeps; more than that is wrong anyway.
const maxChanges = 1 << 16

// A watch samples levels until stop is closed, and closes done after that.
type watch struct {
	stop, done chan struct{}
	seen       agent.Seen
	err        error
}

// Watch implements agent.Client.
func (a *Agent) Watch(cfg agent.Watch, _ *agent.None) error {
	if a.watch != nil {
		return errors.New("there is a watch already")
	}
	files, err := a.sim.levelsOf(cfg.Lines)
	if err != nil {
		return err
	}
	if err := traceLevels(); err != nil {
		return err
	}
	w := &watch{stop: make(chan struct{}), done: make(chan struct{})}
	w.seen.First = make(map[int]bool)
	last := make([]bool, len(files))
	for i, f := range files {
		if last[i], err = level(f); err != nil {
			return err
		}
		w.seen.First[cfg.Lines[i]] = last[i]
	}
	a.watch = w
	go func() {
		defer close(w.done)
		w.err = w.run(cfg.Lines, files, last)
	}()
	return nil
}

// Seen implements agent.Client.
func (a *Agent) Seen(_ agent.None, seen *agent.Seen) error {
	w := a.watch
	if w == nil {
		return errors.New("there is no watch")
	}
	close(w.stop)
	<-w.done
	a.watch = nil
	*seen = w.seen
	if w.err != nil {
		return w.err
	}
	base, err := globalBase(a.sim.Label)
	if err != nil {
		return err
	}
	seen.Given, err = tracedLevels(base, a.sim.Lines)
	return err
}

func (w *watch) run(lines []int, files []*os.File, last []bool) error {
	if err := goFirst(); err != nil {
		return err
	}
	fds := descriptors(files)
	start := time.Now()
	for before, over := time.Duration(0), false; !over; w.seen.Rounds++ {
		select {
		case <-w.stop:
			over = true // One more round sees all that was before.
		default:
		}
		began := time.Since(start)
		w.seen.Longest = max(w.seen.Longest, began-before)
		for i, fd := range fds {
			high, err := peek(fd)
			if err != nil {
				return err
			}
			if high == last[i] {
				continue
			}
			last[i] = high
			if len(w.seen.Changes) == maxChanges {
				return errors.New("too many changes were seen")
			}
			w.seen.Changes = append(w.seen.Changes, agent.Change{Level: agent.Level{Line: lines[i], High: high}, At: time.Since(start)})
		}
		before = began
		pause(3 * (time.Since(start) - began)) // It must not have all of the CPU.
	}
	return nil
}

// goFirst has this goroutine run whenever it is ready, and anything else only
// while it is not: there is one CPU, and it is to look at lines between any two steps of
// the program under test.
func goFirst() error {
	runtime.LockOSThread() // and not unlocked: the thread ends with the goroutine
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
}

// A thread that goes first calls the kernel without a word to Go's runtime. While a thread
// is in a call that the runtime knows of, sysmon may be about to take its processor away;
// should the call return just then, the thread waits in a loop for sysmon (casgstatus), and
// so keeps it, and everything else in the guest, from the CPU. Only the kernel ends that,
// which keeps 50 ms of each second for others (Documentation/scheduler/sched-rt-group.rst):
// edge then looks as if it had been stopped.

// pause leaves the CPU to others for d. The runtime's own sleep would come back too late.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0) // A signal ends it early.
}

// peek returns the level that a file of sysfs has.
func peek(fd uintptr) (bool, error) {
	var b [4]byte
	n, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, fd, uintptr(unsafe.Pointer(&b)), uintptr(len(b)), 0, 0, 0)
	if errno != 0 || n == 0 {
		return false, fmt.Errorf("look at a level: %w", errno)
	}
	return b[0] == '1', nil
}

// descriptors are those of files.
func descriptors(files []*os.File) (fds []uintptr) {
	for _, f := range files {
		fds = append(fds, f.Fd())
	}
	return fds
}

// Await implements agent.Client.
func (a *Agent) Await(cfg agent.Await, out *agent.Awaited) error {
	var lines []int
	for line := range cfg.Levels {
		lines = append(lines, line)
	}
	files, err := a.sim.levelsOf(lines)
	if err != nil {
		return err
	}
	if err := goFirst(); err != nil {
		return err
	}
	fds := descriptors(files)
	start := time.Now()
	if cfg.Kill.PID != 0 {
		if start, err = a.end(cfg); err != nil {
			return err
		}
	}
	for {
		out.Wrong = out.Wrong[:0]
		for i, fd := range fds {
			high, err := peek(fd)
			if err != nil {
				return err
			}
			if high != cfg.Levels[lines[i]] {
				out.Wrong = append(out.Wrong, lines[i])
			}
		}
		out.Took = time.Since(start)
		if len(out.Wrong) == 0 || out.Took > cfg.Within {
			return nil
		}
		pause(time.Millisecond)
	}
}

// end ends the program of an Await, and returns from when on the time counts.
func (a *Agent) end(cfg agent.Await) (time.Time, error) {
	p, err := a.program(cfg.Kill.PID)
	if err != nil {
		return time.Time{}, err
	}
	pause(cfg.After)
	start := time.Now()
	if cfg.Kill.Group != "" {
		err = starve(cfg.Kill.Group, cfg.Within)
		return time.Now(), err
	}
	if err := p.cmd.Process.Signal(cfg.Kill.Signal); err != nil {
		return start, err
	}
	if cfg.Ended {
		<-p.done
		start = time.Now()
	}
	return start, nil
}

func (s *sim) levelsOf(lines []int) ([]*os.File, error) {
	var files []*os.File
	for _, line := range lines {
		f, err := s.level(line)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}
