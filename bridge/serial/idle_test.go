package serial_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
)

// switches counts how often the threads of this process have gone to sleep by
// themselves (proc_pid_status(5)): each time they had been woken up.
func switches(t *testing.T) (sum int) {
	t.Helper()
	files, _ := filepath.Glob("/proc/self/task/*/status")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(b)) {
			if n, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				more, _ := strconv.Atoi(strings.TrimSpace(n))
				sum += more
			}
		}
	}
	if sum == 0 {
		t.Skip("this machine does not count switches")
	}
	return sum
}

// Sixteen sticks that say nothing: no thread waits for them, and nothing wakes
// up to look after them. Looking at each port once in 250 ms would be 64 wake-ups a
// second at least, and a thread for each would be sixteen.
func TestIdlePortsCostNothing(t *testing.T) {
	const (
		ports  = 16
		window = 500 * time.Millisecond
	)
	threads := takeInventory(t).threads
	for i := range ports {
		_, port := plug(t)
		b := bridge.Base(fmt.Sprintf("edge/test/idle%d", i))
		c := new(bridgetest.Client)
		bridgetest.Run(t, c, newBridge(t, b, port, stickConfig))
		bridgetest.Expect(t, c, b.Status(), "online")
	}
	threads = takeInventory(t).threads - threads
	if threads >= ports {
		t.Errorf("%d idle ports have %d threads more, want few", ports, threads)
	}
	calm := func() int {
		before := switches(t)
		<-time.After(window)
		return switches(t) - before
	}
	// The runtime may have work of its own, and the last attributes are on their
	// way: that is over in one of a few windows.
	least := calm()
	for tries := 0; least > ports && tries < 8; tries++ {
		least = min(least, calm())
	}
	t.Logf("%d idle ports: %d threads more, %d wake-ups in %v", ports, threads, least, window)
	if least > 2*ports {
		t.Errorf("%d idle ports wake up %d times in %v, want next to never", ports, least, window)
	}
}
