package peer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// shell starts a command of sh in place of a broker.
func shell(t *testing.T, script string) (*Process, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "broker")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := Command(t.Context(), Placement{}, []string{"/bin/sh", "-c", script}, dir, "ready")
	if err != nil {
		t.Fatal(err)
	}
	return p, dir
}

func TestProcess(t *testing.T) {
	p, dir := shell(t, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo is ready now >&2; exec sleep 60")
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cpu, err := p.CPU(); cpu <= 0 || err != nil {
		t.Errorf("CPU after a loop = %v, %v", cpu, err)
	}
	now, peak, err := p.Memory()
	if now <= 0 || peak < now || err != nil {
		t.Errorf("Memory = %d, %d, %v", now, peak, err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory after Stop: %v, want it gone", err)
	}
	if cpu, err := p.CPU(); err == nil {
		t.Errorf("CPU of an ended process = %v", cpu)
	}
}

func TestProcessAgain(t *testing.T) {
	p, dir := shell(t, "echo once >>lives; echo ready >&2; exec sleep 60")
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Addr = "127.0.0.1:1883"
	p.End()
	again, err := p.Again(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	lives, err := os.ReadFile(filepath.Join(dir, "lives"))
	if string(lives) != "once\nonce\n" || again.Addr != p.Addr || err != nil {
		t.Errorf("the second life found %q, %v, at %s", lives, err, again.Addr)
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}

func TestProcessThatEnds(t *testing.T) {
	p, _ := shell(t, "echo port is taken >&2; exit 1")
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "port is taken") {
		t.Errorf("Ready = %v, want it to quote the log", err)
	}
	<-p.Exited()
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestPlace(t *testing.T) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	for n := range may.Count() + 2 {
		p, err := Place(n)
		if err != nil {
			t.Fatal(err)
		}
		pinned := n > 0 && n < may.Count()
		if pinned != (len(p.Broker) == n && n > 0) || pinned && len(p.Load) != may.Count()-n {
			t.Errorf("Place(%d) of %d CPUs = %v", n, may.Count(), p)
		}
		for _, cpu := range append(p.Broker, p.Load...) {
			if !may.IsSet(cpu) {
				t.Errorf("Place(%d) = %v, but CPU %d may not be used", n, p, cpu)
			}
		}
	}
}

func TestPlacementPinsTheChildOnly(t *testing.T) {
	place, err := Place(1)
	if err != nil {
		t.Fatal(err)
	}
	var before, child, after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	p, err := Command(t.Context(), place, []string{"/bin/sh", "-c", "echo ready >&2; exec sleep 60"}, t.TempDir(), "ready")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Stop() }()
	if err := unix.SchedGetaffinity(p.cmd.Process.Pid, &child); err != nil {
		t.Fatal(err)
	}
	want := before
	if len(place.Broker) > 0 {
		want = cpuSet(place.Broker)
	}
	if child != want {
		t.Errorf("the child may use %v, want %v", child, want)
	}
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != before {
		t.Errorf("own affinity is %v, %v, was %v", after, err, before)
	}
}

func TestParseMemory(t *testing.T) {
	now, peak, err := parseMemory([]byte("Name:\tedge\nVmHWM:\t    9216 kB\nVmRSS:\t    8192 kB\n"))
	if now != 8<<20 || peak != 9<<20 || err != nil {
		t.Errorf("parseMemory = %d, %d, %v", now, peak, err)
	}
	for _, bad := range []string{"", "VmRSS:\t1 kB\n", "VmRSS:\tx\nVmHWM:\ty\n"} {
		if now, peak, err := parseMemory([]byte(bad)); err == nil {
			t.Errorf("parseMemory(%q) = %d, %d", bad, now, peak)
		}
	}
}

func TestCommands(t *testing.T) {
	argv, err := edgeCommand("edge", "127.0.0.1:1883", "/d")
	if got, want := strings.Join(argv, " "), "edge run --listen tcp://127.0.0.1:1883 --data /d/data --allow-anonymous"; got != want || err != nil {
		t.Errorf("edge is started by %q, %v, want %q", got, err, want)
	}
	dir := t.TempDir()
	if _, err = mosquittoCommand("mosquitto", "127.0.0.1:1883", dir); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "mosquitto.conf"))
	if err != nil || !strings.HasPrefix(string(file), "listener 1883 127.0.0.1\n") {
		t.Errorf("mosquitto's configuration is %q, %v", file, err)
	}
}

func TestFindUnknown(t *testing.T) {
	if _, err := (Source{}).Find(t.Context(), "hivemq"); err == nil || errors.Is(err, ErrMissing) {
		t.Errorf("Find of an unknown broker: %v", err)
	}
}
