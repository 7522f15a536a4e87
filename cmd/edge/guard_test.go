package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"edge/internal/guard"
)

// TestGuardPets has systemd hear that the guard lives, and not at each turn of its loop.
func TestGuardPets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "600000000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	log := slog.New(slog.DiscardHandler)
	cfg := guard.DefaultConfig()
	cfg.Watchdog = filepath.Join(t.TempDir(), "none") // no reason not to guard
	p := newPets(cfg, notifier{log}, log)
	defer p.close()
	for range 10 {
		p.pet()
	}
	p.notify.send("the end")
	var heard []string
	for len(heard) == 0 || heard[len(heard)-1] != "the end" {
		b := make([]byte, 100)
		n, err := systemd.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, string(b[:n]))
	}
	if want := []string{"WATCHDOG=1", "the end"}; !slices.Equal(heard, want) {
		t.Errorf("systemd has heard %q, want %q", heard, want)
	}
}

func TestWithoutSystemd(t *testing.T) {
	got := withoutSystemd([]string{"HOME=/", "NOTIFY_SOCKET=/run/x", "WATCHDOG_PID=1", "WATCHDOG_USEC=5"})
	if want := []string{"HOME=/"}; !slices.Equal(got, want) {
		t.Errorf("withoutSystemd = %q, want %q", got, want)
	}
}

// TestGuardConfig has a section with mistakes be as if it were absent.
func TestGuardConfig(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	p := &plan{settings: settings{Data: "/data", Guard: guard.Config{Socket: "/x", Patience: time.Nanosecond}}}
	got := new(guardFlags).config(p, log)
	want := guard.DefaultConfig()
	want.Socket = "/data/guard.sock"
	if got != want {
		t.Errorf("config of a bad section = %+v, want %+v", got, want)
	}
	p.Guard = want
	want.Socket = "/elsewhere"
	if got := (&guardFlags{socket: "/elsewhere"}).config(p, log); got != want {
		t.Errorf("config with --socket = %+v, want %+v", got, want)
	}
}
