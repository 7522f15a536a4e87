package modbus

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// buckets are the upper ends of the classes of a histogram, in milliseconds; the
// last class has none.
var buckets = [...]int{2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}

// A histogram counts how long answers took, from the first byte of the request to
// the end of the answer.
type histogram struct {
	classes [len(buckets) + 1]uint64
	count   uint64
	most    time.Duration
}

func (h *histogram) add(d time.Duration) {
	i := 0
	for i < len(buckets) && d > time.Duration(buckets[i])*time.Millisecond {
		i++
	}
	h.classes[i]++
	h.count++
	h.most = max(h.most, d)
}

// quantile returns a time in milliseconds that the share q of the answers did not
// exceed: the upper end of its class, or the greatest of all.
func (h *histogram) quantile(q float64) float64 {
	most := milliseconds(h.most)
	need := uint64(math.Ceil(q * float64(h.count)))
	var sum uint64
	for i, n := range h.classes {
		if sum += n; sum >= need && i < len(buckets) {
			return min(float64(buckets[i]), most)
		}
	}
	return most
}

// attr returns the histogram as attributes: classes without a count are left out.
func (h *histogram) attr() map[string]any {
	classes := map[string]uint64{}
	for i, n := range h.classes {
		switch {
		case n == 0:
		case i < len(buckets):
			classes[strconv.Itoa(buckets[i])] = n
		default:
			classes["more"] = n
		}
	}
	return map[string]any{"p50": h.quantile(0.5), "p99": h.quantile(0.99), "max": milliseconds(h.most), "up_to": classes}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond).Microseconds()) / 1000
}

// unitStats is what is counted of a unit.
type unitStats struct {
	latency    histogram
	requests   uint64
	retries    uint64 // requests after one that failed
	timeouts   uint64
	garbage    uint64
	exceptions map[byte]uint64 // by code; there are 256 at most
}

// counters returns what there is to count, under the names of attributes.
func (u *unitStats) counters(missed uint64) map[string]uint64 {
	c := map[string]uint64{
		"requests": u.requests, "retries": u.retries, "timeouts": u.timeouts, "garbage": u.garbage, "missed": missed,
	}
	for code, n := range u.exceptions {
		c[fmt.Sprintf("exception_%d", code)] = n
	}
	return c
}

// loadWindow is the time of which bus_load says how much of it the bus was busy.
const loadWindow = 10 * time.Second

// A load says how busy a bus is.
type load struct {
	begun time.Time
	busy  time.Duration
}

// add notes that the bus was busy between two times.
func (l *load) add(from, to time.Time) {
	l.busy += to.Sub(later(from, l.begun))
}

// percent returns the load of the window that is over, and begins the next one; ok is
// false while it is not over.
func (l *load) percent(now time.Time) (percent int, ok bool) {
	length := now.Sub(l.begun)
	if length < loadWindow {
		return 0, false
	}
	percent = int(math.Round(100 * float64(l.busy) / float64(length)))
	*l = load{begun: now}
	return min(percent, 100), true
}
