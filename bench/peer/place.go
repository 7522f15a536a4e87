package peer

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Placement says which CPUs the broker may use and which the load generator.
// Its zero value leaves both to the scheduler.
type Placement struct{ Broker, Load []int }

// Place gives the broker n of the CPUs that this process may use, and the rest
// to the load generator. With too few CPUs for that, or n = 0, nothing is pinned.
func Place(n int) (Placement, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return Placement{}, fmt.Errorf("ask which CPUs may be used: %w", err)
	}
	var cpus []int
	for cpu := range 64 * len(set) {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	if n == 0 || len(cpus) <= n {
		return Placement{}, nil
	}
	return Placement{Broker: cpus[:n], Load: cpus[n:]}, nil
}

// String describes p for people.
func (p Placement) String() string {
	if len(p.Broker) == 0 {
		return "not pinned"
	}
	return fmt.Sprintf("broker on CPU %v, load on CPU %v", p.Broker, p.Load)
}

// Enter moves this process to the CPUs of the load generator.
func (p Placement) Enter() error {
	if len(p.Load) == 0 {
		return nil
	}
	set := cpuSet(p.Load)
	// A thread that is born during the first walk may have an unmoved parent.
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list own threads: %w", err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				return fmt.Errorf("list own threads: %w", err)
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
				return fmt.Errorf("pin thread %d to CPU %v: %w", tid, p.Load, err)
			}
		}
	}
	runtime.GOMAXPROCS(len(p.Load))
	return nil
}

// start starts cmd on the CPUs of the broker: a child inherits the affinity of
// the thread that makes it (sched_setaffinity(2)).
func (p Placement) start(cmd *exec.Cmd) error {
	if len(p.Broker) == 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("ask for affinity: %w", err)
	}
	set := cpuSet(p.Broker)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to CPU %v: %w", p.Broker, err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	return cmd.Start()
}

func cpuSet(cpus []int) unix.CPUSet {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return set
}
