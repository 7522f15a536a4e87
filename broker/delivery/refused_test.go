package delivery

import (
	"fmt"
	"testing"

	"edge/broker/journal/journaltest"
)

// TestRefusedIsNotRetained has a broken disk refuse what would replace, or clear, a
// retained message that was acknowledged.
func TestRefusedIsNotRetained(t *testing.T) {
	for _, qos := range []int{1, 2} {
		j := new(journaltest.Held)
		j.Flow()
		e := newEngine(t, j, options())
		p := connect(t, e, "p", Opening{})
		p.publish("a", "r1:first")
		place := e.retained.Get("a").place
		bytes := e.retainedBytes
		j.Break()
		for topic, payload := range map[string]string{"a": "second, and longer", "b": "new"} {
			if v := p.publish(topic, fmt.Sprintf("r%d:%s", qos, payload)); v != Unavailable {
				t.Errorf("retain %q at QoS %d on a broken disk: verdict %d, want Unavailable", payload, qos, v)
			}
		}
		p.publish("a", fmt.Sprintf("r%d:", qos))
		if k := e.retained.Get("a"); k == nil || k.place != place {
			t.Fatalf("retained on a is %+v, want what lies at %x", k, place)
		}
		if e.retainedBytes != bytes || e.retainedCount != 1 {
			t.Errorf("%d bytes and %d messages are retained, want %d and 1", e.retainedBytes, e.retainedCount, bytes)
		}
		expect(t, connect(t, e, "s", Opening{}).subscribe("#", 2), "R a r1:first")
		p.publish("a", "r0:nobody is told")
		expect(t, connect(t, e, "late", Opening{}).subscribe("#", 2), "R a r0:nobody is told")
	}
}

// TestRefusedIsNotQueued publishes to a full disk again and again: the queue of a
// session that is away must not fill, or it would refuse when there is room.
func TestRefusedIsNotQueued(t *testing.T) {
	j := new(journaltest.Held)
	j.Flow()
	opts := options()
	opts.QueueMessages = 10
	e := newEngine(t, j, opts)
	connect(t, e, "away", Opening{Expiry: 100}).subscribe("a", 2).left(Leaving{})
	p := connect(t, e, "p", Opening{})
	p.publish("a", "1:before")
	j.Break()
	for i := range 5000 {
		if v := p.publish("a", fmt.Sprintf("%d:x", 1+i%2)); v != Unavailable {
			t.Fatalf("message %d on a broken disk: verdict %d, want Unavailable", i, v)
		}
	}
	if s := e.session("away"); s.count != 1 || s.queue.len() > 2048 {
		t.Errorf("%d messages in %d places are queued, want the one that was accepted", s.count, s.queue.len())
	}
	j.Mend()
	if v := p.publish("a", "1:after"); v != Accepted {
		t.Errorf("verdict %d when the disk is well again, want Accepted", v)
	}
	expect(t, connect(t, e, "away", Opening{Expiry: 100}), "a 1:before", "a 1:after")
}
