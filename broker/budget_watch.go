package broker

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"edge/bridge"
	"edge/broker/delivery"
)

// A MemoryState says how near the process is to its memory budget.
type MemoryState int32

// The states.
const (
	MemoryOK    MemoryState = iota
	MemoryTight             // nothing new is kept
	MemoryFull              // besides, few may knock at once, and large packets are refused
)

// String returns ok, tight or full.
func (s MemoryState) String() string { return [...]string{"ok", "tight", "full"}[s] }

// Where states begin, in sixteenths of the budget; they end two below, so that they
// do not flutter. The collector works harder from hardest on, and what it has left
// lying about is known then: between the two there is room for garbage.
const (
	tightAt = 12
	fullAt  = 13
	slack   = 2
	hardest = 14
)

// What strangers can have kept must leave room for twice as much, since the
// collector comes when the heap has doubled. Of so many parts of the budget, one is
// for all retained messages and one for all wills, for what waits for a client
// whose session does not last, and for the sessions that last.
const (
	keptShare    = 20
	unkeptShare  = 24
	sessionShare = 8
	sessionSize  = 4 << 10 // about what one takes, with a message that waits
)

// How often memory is looked at: the nearer to the budget, the more often. fastest
// is how many bytes come in a second at most, on loopback.
const (
	fastest  = 256 << 20
	minLook  = 10 * time.Millisecond
	maxLook  = time.Second
	restLook = 250 * time.Millisecond // of a process that allocates nothing
)

// usage is what the process takes, in bytes.
type usage struct {
	held uint64 // of the kernel
	firm uint64 // without what is free and what may be garbage: what the last collection has left, stacks and the like
}

// A memory watches over the budget. What runs has it as it is now at hand.
type memory struct {
	budget
	b     *Broker
	state atomic.Int32
	full  atomic.Bool // state is MemoryFull, for the gates
	tight atomic.Uint64
	used  atomic.Uint64 // firm

	samples   []metrics.Sample
	collected time.Time // when a collection was asked for
	took      time.Duration
	weighed   time.Time
}

// MemoryStats are about the memory of the process.
type MemoryStats struct {
	State  MemoryState
	Budget uint64 // bytes
	Used   uint64 // bytes that a collection would not free, about
	Tight  uint64 // how often it was short
}

func newMemory(b *Broker, configured int64) *memory {
	m := &memory{budget: newBudget(configured, os.DirFS("/")), b: b}
	for _, name := range []string{
		"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes",
		"/memory/classes/heap/unused:bytes", "/memory/classes/heap/objects:bytes", "/gc/heap/live:bytes",
	} {
		m.samples = append(m.samples, metrics.Sample{Name: name})
	}
	u, _ := m.read()
	m.used.Store(u.firm) // The first counts are published before the first look.
	return m
}

// Stats returns what is known now.
func (m *memory) Stats() MemoryStats {
	return MemoryStats{MemoryState(m.state.Load()), m.bytes, m.used.Load(), m.tight.Load()}
}

// part returns so many sixteenths of the budget.
func (m *memory) part(n uint64) uint64 { return m.bytes / 16 * n }

// bound makes limits smaller that are more than a fair part of the budget.
func (m *memory) bound(opts *delivery.Options) {
	share := func(n uint64) int { return int(min(m.bytes/n, math.MaxInt32)) }
	opts.RetainedBytes = min(opts.RetainedBytes, share(keptShare))
	opts.WillBytes = share(keptShare)
	opts.Sessions = min(opts.Sessions, max(1, share(sessionShare)/sessionSize))
	opts.UnkeptBytes = min(opts.UnkeptBytes, share(unkeptShare))
}

// run watches until the broker is closed.
func (m *memory) run() {
	debug.SetMemoryLimit(int64(min(m.part(hardest), math.MaxInt64)))
	look := time.NewTimer(0)
	defer look.Stop()
	var last usage
	var pause time.Duration
	for {
		select {
		case <-m.b.done:
			return
		case <-look.C:
		}
		u := m.measure()
		m.judge(u)
		m.weigh()
		pause = m.next(u, last, pause)
		last = u
		look.Reset(pause)
	}
}

// measure reads what the runtime counts anyway; it takes some microseconds and
// stops nobody.
func (m *memory) measure() usage {
	u, garbage := m.read()
	tight := m.state.Load() != int32(MemoryOK)
	if tight || u.firm+garbage >= m.part(tightAt) && garbage >= m.part(1) {
		m.collect(tight)
		u, _ = m.read()
	}
	return u
}

// read is measure without a close look: of what came after the last collection
// nobody knows how much is garbage.
func (m *memory) read() (u usage, garbage uint64) {
	metrics.Read(m.samples)
	v := func(i int) uint64 { return m.samples[i].Value.Uint64() }
	total, released, free, unused, objects, live := v(0), v(1), v(2), v(3), v(4), v(5)
	held := total - released
	garbage = objects - min(live, objects)
	return usage{held: held, firm: held - min(held, free+unused+garbage)}, garbage
}

// collect has the collector look whether memory is short, or is so still. By itself
// it comes when the heap has doubled, or, to a broker that does nothing, after two
// minutes.
func (m *memory) collect(again bool) {
	now, pause := time.Now(), 10*m.took // It may have a tenth of the time.
	if again {
		pause = max(pause, time.Second)
	}
	if now.Sub(m.collected) < pause {
		return
	}
	runtime.GC()
	m.collected, m.took = time.Now(), time.Since(now)
}

// judge finds the state that follows from u, and tells who must know.
func (m *memory) judge(u usage) {
	m.used.Store(u.firm)
	old := MemoryState(m.state.Load())
	state := m.after(old, u)
	if state == old {
		return
	}
	m.state.Store(int32(state))
	m.full.Store(state == MemoryFull)
	if (old == MemoryOK) != (state == MemoryOK) {
		m.b.engine.Tighten(state != MemoryOK)
	}
	if old == MemoryOK {
		m.tight.Add(1)
	}
	m.tell(old, state, u)
}

// after returns the state that follows old at u.
func (m *memory) after(old MemoryState, u usage) MemoryState {
	tight, full, all := uint64(tightAt), uint64(fullAt), uint64(16)
	if old >= MemoryTight {
		tight -= slack
	}
	if old == MemoryFull {
		full, all = full-slack, all-slack/2
	}
	switch {
	case u.firm >= m.part(full), u.held >= m.part(all):
		return MemoryFull
	case u.firm >= m.part(tight):
		return MemoryTight
	}
	return MemoryOK
}

// tell logs the change, once each way, and publishes it.
func (m *memory) tell(old, state MemoryState, u usage) {
	log := m.b.log.With("state", state.String(), "used", u.firm, "budget", m.bytes, "from", m.from)
	switch {
	case state == MemoryOK:
		log.Info("there is memory again")
	case state > old:
		log.Warn("memory is short: what would take more is refused; limits.memory is the budget")
	}
	msg := bridge.Message{Topic: sysPrefix + "memory/state", Payload: []byte(state.String()), Retain: true}
	if err := m.b.self.Publish(context.Background(), msg); err != nil && !errors.Is(err, errClosed) {
		m.b.log.Error("publish the state of memory", "err", err)
	}
}

// weigh has the queues of each user added up, each second.
func (m *memory) weigh() {
	if now := time.Now(); now.Sub(m.weighed) >= maxLook {
		m.weighed = now
		m.b.engine.Weigh()
	}
}

// next returns when to look again: before memory can be short. last and pause are
// those of the look before.
func (m *memory) next(u, last usage, pause time.Duration) time.Duration {
	used := max(u.firm, u.held-min(u.held, m.part(16-hardest)))
	room := m.part(tightAt) - min(used, m.part(tightAt))
	soon := time.Duration(float64(room) / fastest * float64(time.Second))
	if u.held>>16 == last.held>>16 && u.firm>>16 == last.firm>>16 {
		soon = max(soon, min(2*pause, restLook))
	}
	return max(minLook, min(soon, maxLook))
}
