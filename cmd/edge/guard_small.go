package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

const (
	// guardMemory is what the guard's heap may have before it is collected; it needs
	// a tenth of that.
	guardMemory = 16 << 20

	// guardOOM has the kernel end nearly everything else first (proc_pid_oom_score_adj(5)).
	guardOOM = "-900"

	// guardNice has the guard run when the machine is busy; it is never long.
	guardNice = -10
)

// shrink makes the process one that is there when others are not: small, never
// swapped out, and the last that is ended for want of memory. What it may not do is no
// reason not to guard.
func shrink(log *slog.Logger) {
	runtime.GOMAXPROCS(1)
	debug.SetMemoryLimit(guardMemory)
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(guardOOM), 0); err != nil {
		log.Debug("the guard may be ended for want of memory", "err", err)
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, guardNice); err != nil {
		log.Debug("the guard has no priority over others", "err", err)
	}
	if err := pinMemory(); err != nil {
		log.Debug("the guard may be swapped out", "err", err)
	}
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
