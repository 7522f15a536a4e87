package serial

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/sim"
	"edge/internal/uart"
)

// A talker is a device at the far end of a line: it says what was recorded, each
// period or when it is asked.
type talker struct {
	name   string
	baud   int // zero: that of the device
	period time.Duration
	rest   time.Duration // before the first words
}

// A simLine is a line in memory whose ends have rates.
type simLine struct {
	net.Conn
	mu   sync.Mutex
	near sim.Rate
}

func (l *simLine) SetRate(baud, dataBits int, _ uart.Parity) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.near = sim.Rate{Baud: baud, Seven: dataBits == 7}
	return nil
}

func (l *simLine) rate() sim.Rate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.near
}

// live is the device until the line is closed.
func (k talker) live(t *testing.T, d Device, far net.Conn, near func() sim.Rate) {
	rate := sim.Rate{Baud: k.baud, Seven: d.Serial.DataBits == 7}
	if k.baud == 0 {
		rate.Baud = d.Serial.Baud
	}
	said := recorded(t, d.Name)
	say := func() error {
		_, err := far.Write(sim.Resample(said, rate, near()))
		return err
	}
	if len(d.Serial.Requests) == 0 {
		time.Sleep(k.rest + 100*time.Millisecond) // synctest's time: not before the line is tuned
		for say() == nil {
			time.Sleep(k.period)
		}
		return
	}
	question, err := d.Serial.Requests[0].bytes(nil)
	if err != nil {
		t.Error(err)
		return
	}
	var heard []byte
	buf := make([]byte, 256)
	for {
		n, err := far.Read(buf)
		if err != nil {
			return
		}
		got := sim.Resample(buf[:n], near(), rate)
		if rate.Seven {
			for i := range got {
				got[i] &= 0x7f
			}
		}
		if heard = append(heard, got...); bytes.HasSuffix(heard, question) {
			if err := say(); err != nil {
				return
			}
		}
	}
}

// identify returns what is said of a device, and how long that took.
func identify(t *testing.T, k talker, d Device) (guesses []Guess, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		line := &simLine{Conn: near, near: sim.Rate{Baud: 115200}}
		var w sync.WaitGroup
		w.Go(func() { k.live(t, d, far, line.rate) })
		if len(d.Serial.Requests) == 0 { // what is asked of it is lost
			w.Go(func() { swallow(far) })
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		begin := time.Now()
		var err error
		guesses, err = (&Listener{Port: line, Devices: Devices()}).Identify(ctx)
		took = time.Since(begin)
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		near.Close()
		far.Close()
		w.Wait()
	})
	return guesses, took
}

func swallow(c net.Conn) {
	buf := make([]byte, 256)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// TestIdentifyNamesDevices holds that nine of ten simulated devices are named in
// 20 s, and prints what they were taken for.
func TestIdentifyNamesDevices(t *testing.T) {
	talkers := []talker{
		{name: "dsmr-p1", period: time.Second},
		{name: "dsmr-p1", period: time.Second, rest: 900 * time.Millisecond},
		{name: "dsmr-p1", period: 10 * time.Second, rest: 6 * time.Second},
		{name: "dsmr-p1-v2", period: 10 * time.Second, rest: 4 * time.Second},
		{name: "sml", period: time.Second},
		{name: "sml", period: 4 * time.Second, rest: time.Second},
		{name: "iec62056-21"},
		{name: "iec62056-21-d", period: 2 * time.Second},
		{name: "nmea", period: time.Second, rest: 300 * time.Millisecond},
		{name: "nmea", baud: 4800, period: time.Second},
		{name: "nmea", baud: 115200, period: time.Second},
		{name: "sds011", period: time.Second},
		{name: "nova"},
		{name: "pms5003", period: 2300 * time.Millisecond},
		{name: "mh-z19"},
		{name: "senseair-s8"},
		{name: "lacrosse", period: 4 * time.Second, rest: 2 * time.Second},
		{name: "at-modem"},
		{name: "ez430", period: time.Second},
	}
	named := 0
	for _, k := range talkers {
		d, err := LoadDevice(k.name, "")
		if err != nil {
			t.Fatal(err)
		}
		guesses, took := identify(t, k, d)
		got := "nothing"
		if len(guesses) > 0 {
			got = guesses[0].Device.Name
			t.Logf("%s is %s, %d %% sure after %v: %s", k.name, got, guesses[0].Sure, took.Round(time.Millisecond), guesses[0].Why)
		}
		if took > 20*time.Second {
			t.Errorf("%s took %v", k.name, took)
		}
		if got == k.name {
			named++
			continue
		}
		t.Logf("%s every %v is taken for %s", k.name, k.period, got)
	}
	if named*10 < len(talkers)*9 {
		t.Errorf("%d of %d were named, want 9 of 10", named, len(talkers))
	}
	t.Logf("%d of %d were named", named, len(talkers))
}

// A fixedLine has a rate that is set at its far side.
type fixedLine struct{ *simLine }

func (fixedLine) SetRate(int, int, uart.Parity) error { return errors.ErrUnsupported }

func TestIdentifyWithoutARate(t *testing.T) {
	d, err := LoadDevice("lacrosse", "")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		line := &simLine{Conn: near, near: sim.Rate{Baud: d.Serial.Baud}}
		var w sync.WaitGroup
		w.Go(func() { talker{name: d.Name, period: time.Second}.live(t, d, far, line.rate) })
		w.Go(func() { swallow(far) })
		guesses, err := (&Listener{Port: fixedLine{line}, Devices: Devices()}).Identify(t.Context())
		if err != nil || len(guesses) == 0 || guesses[0].Device.Name != d.Name {
			t.Errorf("a line whose rate cannot be set: %v, %v, want %s", guesses, err, d.Name)
		}
		near.Close()
		far.Close()
		w.Wait()
	})
}

func TestIdentifyHearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go swallow(far)
		var doing []string
		l := &Listener{
			Port:     &simLine{Conn: near},
			Devices:  Devices(),
			Progress: func(s string) { doing = append(doing, s) },
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		begin := time.Now()
		guesses, err := l.Identify(ctx)
		if took := time.Since(begin); err != nil || len(guesses) > 0 || took > 20*time.Second {
			t.Errorf("silence is %v, %v after %v", guesses, err, took)
		}
		if len(doing) < 5 || !slices.Contains(doing, "9600 baud, is it mh-z19?") {
			t.Errorf("progress is %s", strings.Join(doing, "; "))
		}
		far.Close()
		near.Close()
	})
}

func TestIdentifyEndsWithThePort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		far.Close()
		guesses, err := (&Listener{Port: &simLine{Conn: near}, Devices: Devices()}).Identify(t.Context())
		if err == nil || len(guesses) > 0 || os.IsTimeout(err) {
			t.Errorf("a line that is gone is %v, %v, want its error", guesses, err)
		}
		near.Close()
	})
}
