package delivery

import (
	"fmt"
	"testing"

	"edge/broker/journal"
)

// BenchmarkPublish carries messages from one client to another who keeps up, in
// blocks of 64 as a busy connection reads them.
func BenchmarkPublish(b *testing.B) {
	for qos := range byte(2) {
		b.Run(fmt.Sprint("qos=", qos), func(b *testing.B) { benchmarkPublish(b, qos) })
	}
}

func benchmarkPublish(b *testing.B, qos byte) {
	e := newEngine(b, journal.Memory{}, options())
	from := connect(b, e, "from", Opening{})
	to := connect(b, e, "to", Opening{}).subscribe("house/#", qos)
	payload := make([]byte, 64)
	var outs []Out
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		from.send(&Message{Message: journal.Message{Topic: "house/attic/temperature", QoS: qos, Payload: payload}}, 0)
		if n%64 != 0 {
			continue
		}
		outs, _ = to.s.Next(to, outs[:0], 1<<20)
		for _, o := range outs {
			to.s.Acknowledge(o.ID, o.QoS)
		}
	}
}

// BenchmarkWeigh is what limits of users cost, each second.
func BenchmarkWeigh(b *testing.B) {
	opts := options()
	opts.Sessions, opts.OwnerQueueBytes = 10_000, 1<<30
	e := newEngine(b, journal.Memory{}, opts)
	for i := range opts.Sessions {
		connect(b, e, fmt.Sprint("c", i), Opening{Owner: fmt.Sprint("user", i%100)})
	}
	for b.Loop() {
		e.Weigh()
	}
}
