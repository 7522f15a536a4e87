package broker

import (
	"io/fs"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/fstest"
	"time"
)

func TestBudget(t *testing.T) {
	if runtimeLimit() != 1<<63-1 {
		t.Skip("GOMEMLIMIT is set")
	}
	const meminfo = "MemTotal:        2000000 kB\nMemFree:  1 kB\n"
	for _, tt := range []struct {
		name       string
		configured int64
		files      map[string]string
		bytes      uint64
		from       string
	}{
		{"configured", 100 << 20, map[string]string{"proc/meminfo": meminfo}, 100 << 20, "limits.memory"},
		{"machine", 0, map[string]string{"proc/meminfo": meminfo}, 1000000 << 10, "half of the machine's memory"},
		{"nothing is known", 0, nil, defaultMemory, "half of the machine's memory"},
		{"cgroup", 0, map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/edge.service\n",
			"sys/fs/cgroup/system.slice/edge.service/memory.max": "134217728\n",
			"sys/fs/cgroup/system.slice/memory.max":              "max\n",
		}, 96 << 20, "three quarters of the cgroup's memory"},
		{"parent", 0, map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "1:cpu:/old\n0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "67108864\n",
		}, 48 << 20, "three quarters of the cgroup's memory"},
		{"container", 0, map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "67108864\n", "sys/fs/cgroup/memory.high": "33554432\n",
		}, 24 << 20, "three quarters of the cgroup's memory"},
		{"cgroup larger than the machine", 0, map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "99999999999999\n",
		}, 1000000 << 10, "half of the machine's memory"},
		{"cgroup of version 1", 0, map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/a\n"}, 1000000 << 10, "half of the machine's memory"},
		{"nonsense", 0, map[string]string{
			"proc/meminfo": "MemTotal: lots\n", "proc/self/cgroup": "0::/../../etc\n", "sys/fs/cgroup/memory.max": "-1",
		}, defaultMemory, "half of the machine's memory"},
	} {
		root := fstest.MapFS{}
		for name, text := range tt.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := newBudget(tt.configured, fs.FS(root)); got != (budget{tt.bytes, tt.from}) {
			t.Errorf("%s: %+v, want %d from %s", tt.name, got, tt.bytes, tt.from)
		}
	}
}

// TestMemoryState has budgets of 16 bytes, so that figures are sixteenths.
func TestMemoryState(t *testing.T) {
	m := &memory{budget: budget{bytes: 16}}
	for _, tt := range []struct {
		old        MemoryState
		firm, held uint64
		want       MemoryState
	}{
		{MemoryOK, 11, 15, MemoryOK},
		{MemoryOK, 12, 12, MemoryTight},
		{MemoryOK, 13, 13, MemoryFull},
		{MemoryOK, 5, 16, MemoryFull},
		{MemoryTight, 12, 12, MemoryTight},
		{MemoryTight, 10, 12, MemoryTight},
		{MemoryTight, 9, 12, MemoryOK},
		{MemoryTight, 13, 14, MemoryFull},
		{MemoryFull, 11, 14, MemoryFull},
		{MemoryFull, 10, 14, MemoryTight},
		{MemoryFull, 9, 15, MemoryFull},
		{MemoryFull, 9, 14, MemoryOK},
	} {
		if got := m.after(tt.old, usage{held: tt.held, firm: tt.firm}); got != tt.want {
			t.Errorf("after %v at %d firm and %d held of 16: %v, want %v", tt.old, tt.firm, tt.held, got, tt.want)
		}
	}
}

// TestNextLook: the nearer to the budget, the sooner; a process that does nothing is
// left in peace.
func TestNextLook(t *testing.T) {
	m := &memory{budget: budget{bytes: 128 << 20}}
	for _, tt := range []struct {
		u, last usage
		pause   time.Duration
		want    time.Duration
	}{
		{usage{20 << 20, 10 << 20}, usage{}, 0, 335937500 * time.Nanosecond},
		{usage{90 << 20, 80 << 20}, usage{}, time.Second, 62500 * time.Microsecond},
		{usage{112 << 20, 40 << 20}, usage{}, time.Second, minLook},
		{usage{112 << 20, 40 << 20}, usage{112<<20 + 1, 40 << 20}, minLook, 2 * minLook},
		{usage{112 << 20, 40 << 20}, usage{112 << 20, 40 << 20}, time.Second, restLook},
		{usage{200 << 20, 200 << 20}, usage{}, time.Second, minLook},
	} {
		if got := m.next(tt.u, tt.last, tt.pause); got != tt.want {
			t.Errorf("next look at %+v after %+v and %v: %v, want %v", tt.u, tt.last, tt.pause, got, tt.want)
		}
	}
	m.bytes = 4 << 30
	if got := m.next(usage{20 << 20, 10 << 20}, usage{}, 0); got != maxLook {
		t.Errorf("next look with gigabytes free: %v, want %v", got, maxLook)
	}
}

// TestMeasure: what is alive is firm, what is not is not.
func TestMeasure(t *testing.T) {
	m := newMemory(nil, 1<<30)
	if m.Stats().Used == 0 {
		t.Error("nothing is used before the first look")
	}
	m.state.Store(int32(MemoryTight)) // It looks closely.
	before := m.measure()
	alive := make([]byte, 64<<20)
	m.collected, m.took = time.Time{}, 0
	during := m.measure()
	if grown := int64(during.firm) - int64(before.firm); grown < 60<<20 || during.held < during.firm {
		t.Errorf("64 MiB make %+v of %+v", during, before)
	}
	clear(alive)
	alive, m.collected, m.took = nil, time.Time{}, 0
	if after := m.measure(); after.firm > before.firm+8<<20 {
		t.Errorf("64 MiB less make %+v of %+v", after, during)
	}
	_ = alive
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // Garbage stays for the next look.
	m.state.Store(int32(MemoryOK))
	before = m.measure()
	for range 64 {
		runtime.KeepAlive(make([]byte, 1<<20))
	}
	if after := m.measure(); after.firm > before.firm+8<<20 || after.held < before.held {
		t.Errorf("64 MiB of garbage make %+v of %+v", after, before)
	}
}

// TestNoMemory lets few knock at once, but in who shows who he is, and who may repair
// things.
func TestNoMemory(t *testing.T) {
	sock := "unix://" + t.TempDir() + "/edge.sock"
	b := startListeners(t, unchanged, Listener{URL: "tcp://127.0.0.1:0"}, Listener{URL: sock})
	old := dialURL(t, b.URLs()[0])
	welcomed(t, old, "old", "")
	b.memory.full.Store(true)
	knocking := dialURL(t, b.URLs()[0])
	for range maxStrangers - 1 {
		dialURL(t, b.URLs()[0])
	}
	until(t, func() bool { return b.connections() == 1+maxStrangers })
	ended(t, dialURL(t, b.URLs()[0]))
	welcomed(t, knocking, "knocking", "")
	welcomed(t, dialURL(t, b.URLs()[0]), "next", "")
	dialURL(t, b.URLs()[0])
	until(t, func() bool { return b.connections() == 3+maxStrangers })
	welcomed(t, dialURL(t, sock), "admin", "")
	talk(t, old, "\xc0\x00", "\xd0\x00")
	if got := b.Stats().Turned.Memory; got != 1 {
		t.Errorf("%d connections turned away for want of memory, want 1", got)
	}
	b.memory.full.Store(false)
	welcomed(t, dialURL(t, b.URLs()[0]), "new", "")
}

// BenchmarkLook is what the watch over memory costs, at most a hundred times a second.
func BenchmarkLook(b *testing.B) {
	m := newMemory(nil, 1<<40)
	for b.Loop() {
		m.measure()
	}
}

// TestBound makes limits smaller on a small board, and leaves them on a large one.
func TestBound(t *testing.T) {
	limits := DefaultConfig().Limits
	for _, tt := range []struct {
		budget                               uint64
		retained, wills, sessions, unkeptMax int
	}{
		{120 << 20, 6 << 20, 6 << 20, 3840, 5 << 20},
		{10 << 30, limits.RetainedBytes, 512 << 20, limits.Sessions, limits.UnkeptBytes},
	} {
		opts := limits.delivery()
		(&memory{budget: budget{bytes: tt.budget}}).bound(&opts)
		if opts.RetainedBytes != tt.retained || opts.WillBytes != tt.wills || opts.Sessions != tt.sessions || opts.UnkeptBytes != tt.unkeptMax {
			t.Errorf("of %d bytes: %d retained, %d of wills, %d sessions, %d unkept; want %+v",
				tt.budget, opts.RetainedBytes, opts.WillBytes, opts.Sessions, opts.UnkeptBytes, tt)
		}
	}
}
