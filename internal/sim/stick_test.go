package sim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edge/internal/sim"
	"edge/internal/uart"
)

// plug returns a stick that is plugged in.
func plug(t *testing.T) *sim.Stick {
	t.Helper()
	s := sim.NewStick(filepath.Join(t.TempDir(), "by-id", "usb-edge_Stick_1-if00"))
	if err := s.Plug(); err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(s.Unplug)
	return s
}

func openStick(t *testing.T, s *sim.Stick) (*uart.Port, *bufio.Scanner) {
	t.Helper()
	p, err := uart.Open(t.Context(), uart.Config{Port: s.Link()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	_ = p.SetDeadline(time.Now().Add(10 * time.Second))
	return p, bufio.NewScanner(p)
}

func expectLine(t *testing.T, in *bufio.Scanner, want string) {
	t.Helper()
	if !in.Scan() {
		t.Fatalf("the stick said nothing more: %v; want %s", in.Err(), want)
	}
	if in.Text() != want {
		t.Errorf("the stick said %s, want %s", in.Text(), want)
	}
}

func TestStickMeasuresAndObeys(t *testing.T) {
	p, in := openStick(t, plug(t))
	expectLine(t, in, `{"led":"off"}`)
	expectLine(t, in, `{"temperature":21.4,"humidity":48.2,"co2":612}`)
	for _, tt := range []struct{ order, want string }{
		{"led on\n", `{"led":"on"}`},
		{"led OFF\r\n", `{"led":"off"}`},
		{"led\n", `{"error":"unknown command \"led\""}`},
		{"rate 0s\n", `{"error":"rate is from 10ms to 1h0m0s"}`},
		{"dance\n", `{"error":"unknown command \"dance\""}`},
		{"rate 10ms\n", `{"rate":"10ms"}`},
	} {
		if _, err := p.Write([]byte(tt.order)); err != nil {
			t.Fatal(err)
		}
		expectLine(t, in, tt.want)
	}
	for range 50 {
		if !in.Scan() {
			t.Fatalf("the stick stopped measuring: %v", in.Err())
		}
		var m struct{ Temperature, Humidity, CO2 float64 }
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			t.Fatalf("the stick said %s: %v", in.Text(), err)
		}
		if m.Temperature < 15 || m.Temperature > 28 || m.Humidity < 30 || m.Humidity > 70 || m.CO2 < 400 || m.CO2 > 900 {
			t.Errorf("the stick measured %s, want a room", in.Text())
		}
	}
}

func TestStickReplugged(t *testing.T) {
	s := plug(t)
	for range 3 {
		p, in := openStick(t, s)
		expectLine(t, in, `{"led":"off"}`)
		if _, err := p.Write([]byte("led on\n")); err != nil {
			t.Fatal(err)
		}
		s.Unplug()
		for in.Scan() {
		}
		if !errors.Is(in.Err(), uart.ErrGone) {
			t.Errorf("reading from an unplugged stick: %v, want %v", in.Err(), uart.ErrGone)
		}
		if _, err := os.Lstat(s.Link()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("name of an unplugged stick: %v, want %v", err, os.ErrNotExist)
		}
		p.Close()
		if err := s.Plug(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPTYKnowsWhoListens(t *testing.T) {
	far, err := sim.NewPTY("")
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	defer far.Close()
	for range 3 {
		if far.Listening() {
			t.Error("Listening() = true, want false before the port is open")
		}
		p, err := uart.Open(t.Context(), uart.Config{Port: far.Port()})
		if err != nil {
			t.Fatal(err)
		}
		if !far.Listening() {
			t.Error("Listening() = false, want true while the port is open")
		}
		p.Close()
	}
}

func TestStickRunEndsWithItsContext(t *testing.T) {
	s := sim.NewStick(filepath.Join(t.TempDir(), "stick"))
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	if _, err := uart.Wait(t.Context(), s.Link()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := os.Lstat(s.Link()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("name of a stick after Run: %v, want %v", err, os.ErrNotExist)
	}
}
