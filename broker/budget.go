package broker

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// A budget is the memory that the process may take, in bytes, and who says so.
type budget struct {
	bytes uint64
	from  string
}

// newBudget returns the budget of limits.memory. Without that it is GOMEMLIMIT, or
// else three quarters of what the cgroup may take, but no more than half of what
// the machine has: the rest is for the kernel's share of us, and for others.
func newBudget(configured int64, root fs.FS) budget {
	if configured > 0 {
		return budget{uint64(configured), "limits.memory"}
	}
	if limit := runtimeLimit(); limit < math.MaxInt64 {
		return budget{uint64(limit), "GOMEMLIMIT"}
	}
	whole := budget{machineMemory(root) / 2, "half of the machine's memory"}
	if group, ok := cgroupMemory(root); ok && (whole.bytes == 0 || group/4*3 < whole.bytes) {
		return budget{group / 4 * 3, "three quarters of the cgroup's memory"}
	}
	whole.bytes = cmp.Or(whole.bytes, defaultMemory)
	return whole
}

// defaultMemory is the budget where nobody knows how much memory there is.
const defaultMemory = 256 << 20

// runtimeLimit is what GOMEMLIMIT says: nobody has changed it before it is asked
// for first.
var runtimeLimit = sync.OnceValue(func() int64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		return math.MaxInt64
	}
	return debug.SetMemoryLimit(-1)
})

// machineMemory returns MemTotal (proc(5)), 0 if it is not known.
func machineMemory(root fs.FS) uint64 {
	info, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range bytes.Lines(info) {
		var kib uint64
		if n, _ := fmt.Sscanf(string(line), "MemTotal: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// cgroupMemory returns the smallest limit of the process's cgroup and those above
// it. Each counts (cgroup v2, section "Memory Interface Files").
func cgroupMemory(root fs.FS) (least uint64, ok bool) {
	for at := cgroup(root); ; at = path.Dir(at) {
		for _, name := range []string{"memory.max", "memory.high"} {
			if n, known := readBytes(root, path.Join("sys/fs/cgroup", at, name)); known && (!ok || n < least) {
				least, ok = n, true
			}
		}
		if at == "." || at == "/" {
			return least, ok
		}
	}
}

// cgroup returns the cgroup of the process, relative to the mount.
func cgroup(root fs.FS) string {
	f, err := root.Open("proc/self/cgroup")
	if err != nil {
		return "."
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if at, v2 := strings.CutPrefix(lines.Text(), "0::/"); v2 {
			return path.Clean(at)
		}
	}
	return "."
}

// readBytes reads a file with a number; "max" is none.
func readBytes(root fs.FS, name string) (uint64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64)
	return n, err == nil
}
