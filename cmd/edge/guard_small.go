package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// guardMemory is what the guard's heap may have before it is collected; it needs
	// a tenth of that.
	guardMemory = 16 << 20

	// guardOOM has the kernel end nearly everything else first (proc_pid_oom_score_adj(5)).
	guardOOM = "-900"

	// guardNice is for a kernel that does not let the guard have real time.
	guardNice = -10

	// guardPriority is the lowest of those that go before all that have no real time.
	guardPriority = 1
)

// shrink makes the process one that is there when others are not: small, never
// swapped out, and the last that is ended for want of memory. What it may not do is no
// reason not to guard, and is said once, since a person can do something about it.
func shrink(log *slog.Logger) {
	runtime.GOMAXPROCS(1)
	debug.SetMemoryLimit(guardMemory)
	debug.FreeOSMemory()
	var refused []error
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"be ended last for want of memory", spare},
		{"go before other processes", hurry},
		{"stay in memory", pinMemory},
	} {
		if err := step.do(); err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", step.what, err))
		}
	}
	if err := errors.Join(refused...); err != nil {
		log.Info("on a machine that is too busy the guard may be late; it is not when root starts it, or edge-guard.service", "err", err)
	}
}

// spare has the kernel end nearly everything else first for want of memory.
func spare() error { return os.WriteFile("/proc/self/oom_score_adj", []byte(guardOOM), 0) }

// hurry has the guard run at once when the machine is busy; it never runs for long.
// Both kinds of priority are those of threads, not of a process; threads that are still
// to come have that of the one which makes them (sched(7)).
func hurry() error {
	done := make(map[int]bool)
	for more := true; more; {
		more = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil || done[id] {
				continue
			}
			if err := hurryThread(id); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			done[id], more = true, true
		}
	}
	return nil
}

func hurryThread(id int) error {
	rr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: guardPriority}
	if err := unix.SchedSetAttr(id, rr, 0); err == nil || errors.Is(err, unix.ESRCH) {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, id, guardNice)
}

// pinMemory keeps in memory what has been used once. The limit must go first: with
// one, the runtime could not get more when it needs it.
func pinMemory() error {
	endless := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &endless); err != nil {
		return fmt.Errorf("lift the limit of locked memory: %w", err)
	}
	return unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}
