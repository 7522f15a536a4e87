package load

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMarkBothWays(t *testing.T) {
	want := mark{publisher: 49, seq: 1<<32 - 1, sent: 3 * time.Hour}
	payload := make([]byte, markSize)
	want.put(payload)
	if got, err := parseMark(payload); got != want || err != nil {
		t.Errorf("parseMark = %v, %v, want %v", got, err, want)
	}
	if got, err := parseMark(payload[1:]); err == nil {
		t.Errorf("parseMark of %d bytes = %v, want it refused", markSize-1, got)
	}
}

func TestTrack(t *testing.T) {
	for _, tt := range []struct {
		name          string
		sparse        bool
		sent          uint32
		came          []uint32
		missing, late int64
	}{
		{name: "all", sent: 3, came: []uint32{0, 1, 2}},
		{name: "nothing asked for", sent: 3},
		{name: "a gap", sent: 4, came: []uint32{0, 3}, missing: 2},
		{name: "the beginning", sent: 2, came: []uint32{1}, missing: 1},
		{name: "the end", sent: 5, came: []uint32{0, 1}, missing: 3},
		{name: "swapped", sent: 3, came: []uint32{0, 2, 1}, late: 1},
		{name: "twice", sent: 2, came: []uint32{0, 1, 1}, late: 1},
		{name: "sparse", sparse: true, sent: 9, came: []uint32{1, 5, 8}},
		{name: "sparse, swapped", sparse: true, sent: 9, came: []uint32{5, 1}, late: 1},
	} {
		k := track{sparse: tt.sparse}
		for _, seq := range tt.came {
			k.see(seq)
		}
		if got := k.missing(tt.sent); got != tt.missing || k.late != tt.late {
			t.Errorf("%s: missing %d, late %d; want %d, %d", tt.name, got, k.late, tt.missing, tt.late)
		}
	}
}

func TestFlowBounds(t *testing.T) {
	f := newFlow(10, 2)
	f.add(10)
	if got := f.room(); got != 0 {
		t.Errorf("room when all is under way = %d, want 0", got)
	}
	f.arrived(5)
	if got := f.room(); got != 2 {
		t.Errorf("room after five deliveries of two each = %d, want 2", got)
	}
	if got := newFlow(0, 0).room(); got != open {
		t.Errorf("room without receivers = %d, want %d", got, open)
	}
}

func TestFlowAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(10, 1)
		f.add(10)
		woken := make(chan struct{})
		go func() { f.await(3, nil); close(woken) }()
		for range 2 {
			f.arrived(1)
			synctest.Wait()
			select {
			case <-woken:
				t.Fatal("await returned before there was room for three")
			default:
			}
		}
		f.arrived(1)
		<-woken
		f.await(3, nil) // there is room: it must not wait
	})
}

func TestFlowAwaitStops(*testing.T) {
	f := newFlow(1, 1)
	f.add(1)
	stop := make(chan struct{})
	close(stop)
	f.await(1, stop)
	f.arrived(1) // nobody waits: it must not block
	f.arrived(1)
}
