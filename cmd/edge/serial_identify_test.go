package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/internal/sim"
)

// recite says text at the far end of a line, as a stick of this rate, until the
// line is closed.
func recite(p *sim.PTY, text []byte, rate sim.Rate) error {
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		near, err := p.Rate()
		if err != nil {
			return nil // closed
		}
		if !p.Listening() {
			continue
		}
		_ = p.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := p.Write(sim.Resample(text, rate, near)); errors.Is(err, os.ErrClosed) {
			return nil
		}
	}
	return nil
}

// TestIdentify: a meter at a port that garbles bytes at any other rate is named,
// and what is to be written into the configuration is valid.
func TestIdentify(t *testing.T) {
	telegram, err := os.ReadFile("../../bridge/serial/testdata/devices/dsmr-p1.txt")
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "usb-Meter")
	pty, err := sim.NewPTY(link)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- recite(pty, bytes.ReplaceAll(telegram, []byte("\n"), []byte("\r\n")), sim.Rate{Baud: 115200})
	}()
	defer func() {
		pty.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var out, complaint bytes.Buffer
	if code := run(t.Context(), []string{"serial", "identify", "--for", "10m", "--json", link}, strings.NewReader(""), &out, &complaint); code != 0 {
		t.Fatalf("identify ends with %d: %s", code, complaint.String())
	}
	var got identified
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if got.Device != "dsmr-p1" || got.Sure != 99 || got.Baud != 115200 || got.Port != link {
		t.Errorf("identified %+v, want dsmr-p1, 99 %% sure, at 115200", got)
	}
	file := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(file, []byte(got.Config), 0o666); err != nil {
		t.Fatal(err)
	}
	complaint.Reset()
	if code := run(t.Context(), []string{"check", "-c", file}, strings.NewReader(""), &out, &complaint); code != 0 {
		t.Errorf("check of\n%s\nends with %d: %s", got.Config, code, complaint.String())
	}
}

func TestIdentifyFindsNothing(t *testing.T) {
	pty, err := sim.NewPTY("")
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	var out, complaint bytes.Buffer
	code := run(context.Background(), []string{"serial", "identify", "--for", "10ms", pty.Port()}, strings.NewReader(""), &out, &complaint)
	if code == 0 || !strings.Contains(complaint.String(), "nothing was understood") {
		t.Errorf("identify of silence ends with %d: %s%s", code, out.String(), complaint.String())
	}
}
