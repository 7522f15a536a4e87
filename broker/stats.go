package broker

import (
	"math"
	"runtime/metrics"
	"time"

	"edge/broker/delivery"
	"edge/broker/gate"
	"edge/broker/journal"
)

// Stats are counts of a broker: what it has done since it was opened, and what
// it holds now.
type Stats struct {
	Uptime  time.Duration
	Traffic gate.Counts      // with clients on the network
	Dropped delivery.Dropped // on the way to clients
	Denied  Denied
	Memory  MemoryStats
	Pressed delivery.Pressed // for want of memory
	Turned  TurnedAway
	Held    delivery.Stats
	Journal *journal.Stats // nil if everything is in memory
}

// Stats returns the counts of now. It looks at every session: it is for each
// few seconds, not for each message.
func (b *Broker) Stats() Stats {
	st := Stats{
		Uptime: time.Since(b.opened), Traffic: b.limits.Counters.Counts(),
		Dropped: b.engine.Dropped(), Held: b.engine.Stats(), Denied: b.guard.denials.counts(b.engine),
	}
	st.Memory, st.Pressed, st.Turned = b.memory.Stats(), b.engine.Pressed(), b.turnedAway()
	if b.disk != nil {
		j := b.disk.Stats()
		st.Journal = &j
	}
	return st
}

// Stored returns how many messages the broker keeps, and the bytes of their
// payloads: retained ones, those that wait and those on their way.
func (s *Stats) Stored() (messages, payload int) {
	h := &s.Held
	return h.Retained + h.Queued + h.Inflight, h.RetainedPayload + h.QueuedPayload + h.InflightPayload
}

// Lost returns the PUBLISH packets that did not reach who should have got them:
// those that were not accepted, and those that were dropped later.
func (s *Stats) Lost() uint64 { return s.Traffic.Received.Refused + s.Dropped.Total() }

// heapBytes returns the size of the objects on the heap. Unlike
// runtime.ReadMemStats it does not stop the world.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// spans are the times over which a load is averaged.
var spans = [...]struct {
	name string
	time time.Duration
}{{"1min", time.Minute}, {"5min", 5 * time.Minute}, {"15min", 15 * time.Minute}}

// A load is how fast a count grows: per minute, averaged over each of spans. As
// with the load of Unix, the past counts the less the longer it is ago: what
// happened a span ago weighs 1/e.
type load struct {
	total    uint64
	averages [len(spans)]float64
}

// update takes the count of now, elapsed after the last one.
func (l *load) update(total uint64, elapsed time.Duration) {
	if elapsed <= 0 {
		return
	}
	rate := float64(total-l.total) / elapsed.Minutes()
	l.total = total
	for i, span := range spans {
		past := math.Exp(-float64(elapsed) / float64(span.time))
		l.averages[i] = rate + past*(l.averages[i]-rate)
	}
}
