package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/journal"
)

// TestClock goes on from what the journal says about the last run.
func TestClock(t *testing.T) {
	const day = 24 * 3600
	const today = settledDays + 1000*day
	for _, tt := range []struct {
		name    string
		last    reading
		latest  int64
		day     int64 // now
		elapsed int64 // since the last reading of the clock
	}{
		{"off for a day", reading{today, today}, 0, today + day, day},
		{"off for a day, and the clock was not the time of day", reading{500, today}, 0, today + day, day},
		{"in 1970 again", reading{today, today}, 0, 60, 0},
		{"in 1970 again, but it ran on", reading{today, today}, today + 99, 60, 99},
		{"in 1970 before, and right now", reading{60, 60}, 0, today, 0},
		{"set back", reading{today, today}, 0, today - day, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := clock{noted: tt.last, latest: tt.latest}
			c.beginAt(time.Now(), tt.day)
			if got := c.now() - tt.last.clock; got != tt.elapsed {
				t.Errorf("%d s have passed, want %d", got, tt.elapsed)
			}
		})
	}
}

// TestWrongClock starts a board without a battery, has a message with an expiry and
// a session with one wait, and restarts it with the same wrong time of day: what
// has passed counts, as far as it is known.
func TestWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options()
		opts.MaxExpiry = Forever
		s := openStore(t, t.TempDir(), opts, journal.Options{})
		began := s.e.Now()
		connect(t, s.e, "c", Opening{Expiry: 7 * 24 * 3600}).subscribe("a", 1).left(Leaving{})
		p := connect(t, s.e, "p", Opening{})
		for _, life := range []int64{2 * 3600, 30 * 3600} {
			m := &Message{Message: journal.Message{Topic: "a", Payload: []byte("1:x"), QoS: 1, Expires: began + life}}
			p.send(m, 0)
		}
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		s = s.restart(opts, journal.Options{}) // The clock of synctest goes on, but is one that was not set.
		time.Sleep(time.Hour)
		if ran := s.e.Now() - began; ran < 10*3600 || ran > 11*3600 {
			t.Errorf("%d s have passed, want 10 to 11 hours", ran)
		}
		outs := connect(t, s.e, "c", lasting()).outs()
		if len(outs) != 1 || outs[0].Left < 19*3600 || outs[0].Left > 20*3600 {
			t.Errorf("%+v waits, want one message with 19 to 20 hours left", outs)
		}
		s.close()
	})
}
