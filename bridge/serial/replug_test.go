package serial_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/serial"
	"edge/internal/sim"
)

// replugs is how often TestReplugMany unplugs in an ordinary run; EDGE_REPLUGS=500
// makes a long one.
const replugs = 12

// A said is a status and when it was published.
type said struct {
	status string
	at     time.Time
}

// A watched client tells every status that is published, and keeps results.
type watched struct {
	*bridgetest.Client
	status chan said

	mu      sync.Mutex
	results map[string][]bridge.Result // by the id of the command
}

func (w *watched) Publish(ctx context.Context, m bridge.Message) error {
	err := w.Client.Publish(ctx, m)
	switch m.Topic {
	case base.Status():
		w.status <- said{string(m.Payload), time.Now()}
	case base.Result("say"):
		var r bridge.Result
		if json.Unmarshal(m.Payload, &r) == nil {
			w.mu.Lock()
			w.results[r.ID] = append(w.results[r.ID], r)
			w.mu.Unlock()
		}
	}
	return err
}

// await returns when a status was published.
func (w *watched) await(t *testing.T, status string) time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case s := <-w.status:
			if s.status == status {
				return s.at
			}
		case <-ctx.Done():
			t.Fatalf("the status did not become %s within a minute", status)
		}
	}
}

// A plugged stick writes down the bytes that reach it.
type plugged struct {
	far  *sim.PTY
	near int // a descriptor of the near end, to stop the line by
	got  []byte
	done chan struct{}
}

func plugIn(t *testing.T, link string) *plugged {
	t.Helper()
	p := &plugged{far: replug(t, link), done: make(chan struct{})}
	var err error
	if p.near, err = unix.Open(p.far.Port(), unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.far.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for buf := make([]byte, 4096); ; {
			n, err := p.far.Read(buf)
			if p.got = append(p.got, buf[:n]...); err != nil {
				return
			}
		}
	}()
	return p
}

// unplug returns the lines that have reached the stick, and when it was gone.
// What a stick was sent it has got: so the line stops, the stick reads what is on
// it, and then it is gone. A pseudo-terminal by itself would lose what nobody
// has read yet.
func (p *plugged) unplug(t *testing.T) (lines []string, at time.Time) {
	t.Helper()
	p.stop(t)
	_ = p.far.SetReadDeadline(time.Unix(1, 0))
	<-p.done
	rc, err := p.far.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = rc.Control(func(fd uintptr) {
		// A read that finds nothing has fetched what the kernel still had under
		// way (n_tty_read of drivers/tty/n_tty.c).
		for buf := make([]byte, 4096); ; {
			n, err := unix.Read(int(fd), buf)
			if err != nil || n == 0 {
				return
			}
			p.got = append(p.got, buf[:n]...)
		}
	})
	at = time.Now()
	p.far.Close()
	unix.Close(p.near)
	return strings.Split(string(p.got), "\n"), at
}

// stop stops the line. A Write that has looked whether it may go on holds the
// settings for reading, so to set them is to wait for it.
func (p *plugged) stop(t *testing.T) {
	t.Helper()
	tio, err := unix.IoctlGetTermios(p.near, unix.TCGETS)
	if err == nil {
		err = unix.IoctlSetInt(p.near, unix.TCXONC, unix.TCOOFF)
	}
	if err == nil {
		err = unix.IoctlSetTermios(p.near, unix.TCSETS, tio)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// inventory counts what a process can leak.
type inventory struct{ descriptors, threads, goroutines int }

func takeInventory(t *testing.T) inventory {
	t.Helper()
	count := func(dir string) int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Skipf("no way to count: %v", err)
		}
		return len(entries)
	}
	return inventory{count("/proc/self/fd"), count("/proc/self/task"), runtime.NumGoroutine()}
}

// leaks returns what grew with the number of times. The runtime makes a thread
// now and then when the machine is busy, and keeps it.
func (i inventory) leaks(old inventory, times int) (what []string) {
	grew := func(name string, n, slack int) {
		if n > slack {
			what = append(what, fmt.Sprintf("%d %s more", n, name))
		}
	}
	grew("descriptors", i.descriptors-old.descriptors, times/2)
	grew("goroutines", i.goroutines-old.goroutines, times/2)
	grew("threads", i.threads-old.threads, 16+times/10)
	return what
}

// A stick that is unplugged again and again, in the middle of commands, is
// offline and online each time, leaves nothing behind, and has got each command
// that was said to be done.
func TestReplugMany(t *testing.T) {
	times := replugs
	if n, err := strconv.Atoi(os.Getenv("EDGE_REPLUGS")); err == nil {
		times = n
	}
	link := filepath.Join(t.TempDir(), "by-id", "usb-Test_1-if00")
	stick := plugIn(t, link)
	w := &watched{Client: new(bridgetest.Client), status: make(chan said, 64), results: map[string][]bridge.Result{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	b := newBridge(t, base, link, func(c *serial.Config) {
		c.Entities = []serial.Entity{{ID: "say", Kind: bridge.Text, Command: "{{.Value}}\n"}}
	})
	go func() {
		defer close(done)
		bridge.Supervise(ctx, base, b, w, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { cancel(); <-done })
	w.await(t, "online")

	var before inventory
	var offline, online []time.Duration
	reached, sent := map[string]int{}, 0
	send := func() {
		sent++
		bridgetest.Send(t, w, base.Set("say"), fmt.Sprintf(`{"value":"c%d","id":"c%[1]d"}`, sent))
	}
	for i := range times + 2 {
		if i == 2 { // whatever is made once has been made
			before = takeInventory(t)
		}
		send() // while all is calm: it arrives
		calm := fmt.Sprintf("c%d", sent)
		bridgetest.Await(t, w.Client, base.Result("say"), func(m bridge.Message) bool {
			var r bridge.Result
			return json.Unmarshal(m.Payload, &r) == nil && r.ID == calm && r.Status == bridge.StatusOK
		})
		for range 4 { // while it is unplugged: some arrive
			send()
		}
		got, at := stick.unplug(t)
		send()
		for _, line := range got {
			reached[line]++
		}
		offline = append(offline, w.await(t, "offline").Sub(at))
		send()
		at = time.Now()
		stick = plugIn(t, link)
		online = append(online, w.await(t, "online").Sub(at))
	}
	if what := takeInventory(t).leaks(before, times); len(what) != 0 {
		t.Errorf("after %d times there are %v", times, what)
	}
	cancel()
	<-done
	got, _ := stick.unplug(t)
	for _, line := range got {
		reached[line]++
	}
	checkResults(t, w, reached, sent)
	checkTimes(t, "offline", offline, 100*time.Millisecond)
	checkTimes(t, "online", online, time.Second)
}

// checkResults wants that what was acknowledged has reached the stick, nothing
// has twice, and nothing was answered twice.
func checkResults(t *testing.T, w *watched, reached map[string]int, sent int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	tally := map[string]int{}
	for id, rs := range w.results {
		if len(rs) != 1 {
			t.Errorf("command %s has %d results, want one", id, len(rs))
		}
		tally[rs[0].Status]++
		if rs[0].Status == bridge.StatusOK && reached[id] == 0 {
			t.Errorf("command %s is ok and has not reached the stick", id)
		}
	}
	for line, n := range reached {
		if n != 1 && line != "" {
			t.Errorf("%q has reached the stick %d times, want once", line, n)
		}
	}
	t.Logf("of %d commands %v; the rest came while it was offline", sent, tally)
}

// checkTimes tells how long it took, and fails only when that is ten times what
// it may: the machine may have other things to do.
func checkTimes(t *testing.T, status string, took []time.Duration, want time.Duration) {
	t.Helper()
	slices.Sort(took)
	worst := took[len(took)-1]
	t.Logf("%s: median %v, worst %v of %d; at most %v wanted", status, took[len(took)/2], worst, len(took), want)
	if worst > 10*want {
		t.Errorf("%s after %v, want at most %v", status, worst, want)
	}
}
