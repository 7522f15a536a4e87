package load

import "sync/atomic"

// A flow bounds how many messages of one publisher are under way: sent, and not
// yet with every subscriber. It closes the loop, so that a broker is never
// offered more than it can take, and nothing is lost because of that.
//
// One publisher calls add, room and await; any subscriber calls arrived.
type flow struct {
	limit  int64 // deliveries under way at most
	fanout int64 // deliveries that one message makes; 0 leaves the flow open

	sent atomic.Int64 // deliveries that must come
	done atomic.Int64 // deliveries that came

	want atomic.Int64 // deliveries that await needs room for; 0 when nobody waits
	wake chan struct{}
}

// open is the room of a flow that nobody receives from.
const open = 1 << 30

func newFlow(outstanding, fanout int) *flow {
	return &flow{limit: int64(outstanding * fanout), fanout: int64(fanout), wake: make(chan struct{}, 1)}
}

// add counts n messages that are about to be sent.
func (f *flow) add(n int) { f.sent.Add(int64(n) * f.fanout) }

// room returns how many messages may be sent now.
func (f *flow) room() int {
	if f.fanout == 0 {
		return open
	}
	return int(max(0, f.free()/f.fanout))
}

func (f *flow) free() int64 { return f.limit - f.sent.Load() + f.done.Load() }

// arrived counts n deliveries and wakes the publisher if that makes the room it
// waits for.
func (f *flow) arrived(n int) {
	f.done.Add(int64(n))
	want := f.want.Load()
	if want > 0 && f.free() >= want && f.want.CompareAndSwap(want, 0) {
		f.wake <- struct{}{}
	}
}

// await returns when n messages have room, or when stop is closed.
func (f *flow) await(n int, stop <-chan struct{}) {
	need := int64(n) * f.fanout
	f.want.Store(need)
	// A delivery that arrived before want was stored woke nobody.
	if f.free() >= need && f.want.CompareAndSwap(need, 0) {
		return
	}
	select {
	case <-f.wake:
	case <-stop:
	}
}
