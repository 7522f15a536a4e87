package main

import (
	"strings"
	"testing"

	"edge/bench/peer"
)

func TestParseStat(t *testing.T) {
	// Of /sys/block/loop0/stat; the seventh number is sectors written.
	const stat = "     107        0     5106       12      321        4    40960       88        0      100      100        0        0        0        0        0        0\n"
	if n, err := parseStat(stat); n != 40960*512 || err != nil {
		t.Errorf("parseStat = %d, %v; want %d", n, err, 40960*512)
	}
	for _, bad := range []string{"", "1 2 3", "a b c d e f g"} {
		if n, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %d", bad, n)
		}
	}
}

func TestTaking(t *testing.T) {
	all := []peer.Peer{{Name: "edge"}, {Name: "mosquitto"}, {Name: "mochi bolt"}}
	for _, tt := range []struct {
		row  Row
		want int
	}{
		{Row{}, 3},
		{Row{EdgeOnly: true}, 1},
		{Row{Peers: []string{"edge", "mosquitto"}}, 2},
	} {
		if got := tt.row.taking(all); len(got) != tt.want || len(all) != 3 {
			t.Errorf("%+v is about %v", tt.row, got)
		}
	}
}

// TestDiskDir sets a directory in memory aside, where there is one.
func TestDiskDir(t *testing.T) {
	const memory = "/dev/shm"
	fs, err := fileSystem(memory)
	if err != nil || !inMemory[fs] {
		t.Skipf("no tmpfs at %s: %s, %v", memory, fs, err)
	}
	t.Setenv("TMPDIR", memory)
	dir, fs, err := diskDir()
	if err == nil && (dir == memory || inMemory[fs]) {
		t.Errorf("diskDir = %s, %s, which is not on a disk", dir, fs)
	}
	if err != nil && !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("diskDir: %v, which does not say what to do", err)
	}
}

func TestFileSystem(t *testing.T) {
	if fs, err := fileSystem("/proc"); err != nil || fs != "file system 0x9fa0" {
		t.Errorf("file system of /proc = %s, %v", fs, err)
	}
	if fs, err := fileSystem("/nosuch"); err == nil {
		t.Errorf("file system of nothing = %s", fs)
	}
}

func TestFlushTime(t *testing.T) {
	if d, err := flushTime(t.TempDir()); d <= 0 || err != nil {
		t.Errorf("flushTime = %v, %v", d, err)
	}
}

// TestDevice counts what is written, by whatever means there are.
func TestDevice(t *testing.T) {
	d := &device{bytes: func() (int64, error) { return 7, nil }}
	if n, err := d.during(func() error { return nil }); n != 0 || err != nil {
		t.Errorf("during nothing, %d bytes, %v", n, err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}
