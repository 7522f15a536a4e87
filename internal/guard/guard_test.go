package guard

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	cfg := Config{Socket: strings.Repeat("/a", 60), Patience: time.Millisecond, KillAfter: -1, Watchdog: "watchdog", WatchdogTimeout: 1500 * time.Millisecond}
	const want = `socket: has 120 bytes; the path of a socket has 107 at most
patience: 1ms is not between 100ms and 1m0s
kill_after: -1ns is not between 0s and 1h0m0s
watchdog: "watchdog" is no device; want something like /dev/watchdog
watchdog_timeout: 1.5s is not a whole number of seconds from 1s to 1h0m0s`
	if got := cfg.Validate(); got == nil || got.Error() != want {
		t.Errorf("Validate =\n%v\nwant\n%s", got, want)
	}
}

// A fakeWatchdog keeps what was written to it.
type fakeWatchdog struct {
	strings.Builder
	err error
}

func (w *fakeWatchdog) Close() error {
	w.WriteString("closed")
	return nil
}

func (w *fakeWatchdog) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return w.WriteString(map[byte]string{0: "pet ", 'V': "V "}[b[0]])
}

func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := new(fakeWatchdog)
		asked := int32(0)
		w, err := armWatchdog(device, 60*time.Second, func(s *int32) error {
			asked, *s = *s, 16 // what the hardware can
			return nil
		})
		if err != nil || asked != 60 || w.Timeout() != 16*time.Second {
			t.Fatalf("armWatchdog = %v, asked for %d, timeout %v; want 60 and 16s", err, asked, w.Timeout())
		}
		for range 90 {
			if err := w.Pet(time.Now()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err := w.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if got, want := device.String(), "pet pet pet V closed"; got != want {
			t.Errorf("in 9s a watchdog of 16s got %q, want %q", got, want)
		}
	})
}

func TestWatchdogRefuses(t *testing.T) {
	device := new(fakeWatchdog)
	refusal := errors.New("no such time")
	if _, err := armWatchdog(device, time.Second, func(*int32) error { return refusal }); !errors.Is(err, refusal) {
		t.Errorf("armWatchdog = %v, want the refusal", err)
	}
	if got, want := device.String(), "V closed"; got != want {
		t.Errorf("a watchdog that was refused got %q, want %q", got, want)
	}
	if _, err := OpenWatchdog(filepath.Join(t.TempDir(), "none"), time.Second); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenWatchdog of nothing = %v", err)
	}
	// A file that is no watchdog.
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWatchdog(name, time.Second); err == nil {
		t.Error("OpenWatchdog of a plain file has no error")
	}
}
