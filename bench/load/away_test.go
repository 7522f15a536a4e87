package load

import (
	"testing"

	"edge/bench/wire"
)

// TestReturned counts what has waited, and sees what comes late.
func TestReturned(t *testing.T) {
	for _, tt := range []struct {
		name string
		seqs []uint32
		want Tally
	}{
		{"all", []uint32{0, 1, 2}, Tally{Sent: 3, Expected: 3, Delivered: 3}},
		{"one is missing", []uint32{0, 2}, Tally{Sent: 3, Expected: 3, Delivered: 2, Lost: 1}},
		{"in another order", []uint32{0, 2, 1}, Tally{Sent: 3, Expected: 3, Delivered: 3, Late: 1}},
	} {
		r := returned{tracks: []track{{sparse: true}}}
		for _, seq := range tt.seqs {
			payload := make([]byte, markSize)
			mark{seq: seq}.put(payload)
			b := wire.AppendPublish(nil, wire.Message{Topic: []byte("t"), Payload: payload, QoS: 1, ID: 5})
			p, _, err := wire.Next(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.handle(p); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.tally(3); got.Delivered != tt.want.Delivered || got.Lost != tt.want.Lost || got.Late != tt.want.Late {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if len(r.out) != 4*len(tt.seqs) {
			t.Errorf("%s: %d bytes of acknowledgements", tt.name, len(r.out))
		}
	}
}
