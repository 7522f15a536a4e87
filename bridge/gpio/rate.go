package gpio

import "time"

const (
	// rateEvery keeps a fast meter from telling its rate with each pulse.
	rateEvery = time.Second

	// A rate falls when no pulse comes: to what it would be if one came now, each
	// time that is so much less. It is zero after so many times the interval that
	// there was between pulses.
	rateStep = 0.9
	rateEnd  = 100
)

// A rate is how many pulses there are in an hour, by the kernel's clock: over all
// pulses since it was told last, so that one of a fast meter is a mean, and one
// of a slow meter is the time between two pulses.
type rate struct {
	known    bool          // there was a pulse
	from     time.Duration // time of the pulse at which it was told last
	last     time.Duration // time of the last pulse
	pulses   uint64        // after from
	interval time.Duration // between pulses, as it was told last
	heard    time.Time     // when the last pulse came to us
	hourly   float64       // pulses per hour, as told last
	told     time.Time     // when
}

// restart forgets when the last pulse was: the line was not watched since then.
func (r *rate) restart() { r.known, r.pulses = false, 0 }

// count takes n pulses, the last of which was at a time of the kernel's clock.
func (r *rate) count(now time.Time, at time.Duration, n uint64) {
	if !r.known {
		r.known, r.from = true, at
	} else {
		r.pulses += n
	}
	r.last, r.heard = at, now
}

// due returns when there is something to tell; zero is never.
func (r *rate) due() time.Time {
	next := r.told.Add(rateEvery)
	switch {
	case r.pulses > 0 && r.last > r.from:
		return next
	case r.hourly == 0:
		return time.Time{}
	}
	fall := r.heard.Add(time.Duration(float64(time.Hour) / (r.hourly * rateStep)))
	if fall.Before(next) {
		return next
	}
	return fall
}

// expire brings hourly up to date, and reports whether that was due.
func (r *rate) expire(now time.Time) bool {
	if due := r.due(); due.IsZero() || now.Before(due) {
		return false
	}
	r.told = now
	if r.pulses > 0 && r.last > r.from {
		span := float64(r.last - r.from)
		r.interval = time.Duration(span / float64(r.pulses))
		r.hourly = float64(r.pulses) * float64(time.Hour) / span
		r.from, r.pulses = r.last, 0
		return true
	}
	quiet := now.Sub(r.heard)
	if r.hourly = float64(time.Hour) / float64(quiet); quiet/rateEnd >= r.interval {
		r.hourly = 0
	}
	return true
}
