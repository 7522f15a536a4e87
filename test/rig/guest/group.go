//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"edge/test/rig/agent"
)

// limitGroups has cgroups be able to bound memory (Documentation/admin-guide/cgroup-v2.rst
// in the kernel's sources).
func limitGroups() error { return setGroup("", "cgroup.subtree_control", "+memory") }

func setGroup(group, file, value string) error {
	return os.WriteFile(filepath.Join(agent.Groups, group, file), []byte(value), 0)
}

// join has cmd start in a cgroup, which is made if it is not there. leave is to be called
// when it has.
func join(cmd *exec.Cmd, group string) (leave func(), err error) {
	if group == "" {
		return func() {}, nil
	}
	path := filepath.Join(agent.Groups, group)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	return func() { dir.Close() }, nil
}

// spare is what a cgroup that is to have no more memory gets all the same: should it have
// more than its limit when that is set, the kernel kills one process after the other,
// until the first has gone altogether.
const spare = 64 << 10

// starve has a cgroup get no more memory, until the kernel has killed a process of it for
// wanting more. Then there is no limit any more.
func starve(group string, within time.Duration) error {
	has, err := number(group, "memory.current", "")
	if err != nil {
		return err
	}
	before, err := number(group, "memory.events", "oom_kill ")
	if err != nil {
		return err
	}
	if err := setGroup(group, "memory.max", strconv.Itoa(has+spare)); err != nil {
		return err
	}
	killed := before
	for begin := time.Now(); killed == before && time.Since(begin) < within; pause(time.Millisecond) {
		if killed, err = number(group, "memory.events", "oom_kill "); err != nil {
			return err
		}
	}
	if err := setGroup(group, "memory.max", "max"); err != nil {
		return err
	}
	if killed == before {
		return fmt.Errorf("cgroup %s has needed no more memory within %v", group, within)
	}
	return nil
}

// number returns the number that follows a label in a file of a cgroup.
func number(group, file, label string) (int, error) {
	text, err := os.ReadFile(filepath.Join(agent.Groups, group, file))
	if err != nil {
		return 0, err
	}
	_, behind, _ := strings.Cut(string(text), label)
	words := strings.Fields(behind)
	if len(words) == 0 {
		return 0, fmt.Errorf("%s of cgroup %s has no %q", file, group, label)
	}
	return strconv.Atoi(words[0])
}
