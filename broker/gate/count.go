package gate

import (
	"sync/atomic"

	"edge/broker/delivery"
)

// Counters are what all connections of a broker have done so far. The zero
// value is ready; all of it may be used by several goroutines at once.
type Counters struct {
	received, sent tally

	sockets  atomic.Uint64 // connections that were opened
	connects atomic.Uint64 // CONNECT packets
	refused  atomic.Uint64 // connections that ended without having been let in
	large    atomic.Uint64 // packets of clients beyond the limit
	now, top atomic.Int64  // clients that are connected, and the most ever
	accepted atomic.Uint64
}

// Counts are Counters at one moment.
type Counts struct {
	Received, Sent Traffic

	Sockets   uint64 // connections that were opened
	Connects  uint64 // CONNECT packets received
	Accepted  uint64 // clients that were let in
	Refused   uint64 // connections that ended without having been let in
	TooLarge  uint64 // packets received beyond the limit; each ends its connection
	Connected int64  // clients that are connected now
	Maximum   int64  // the most that were connected at once
}

// Traffic is what went one way.
type Traffic struct {
	Bytes    uint64
	Packets  uint64    // of all types
	Messages [3]uint64 // PUBLISH packets by QoS
	Payload  uint64    // bytes of their payloads
	Refused  uint64    // PUBLISH packets that the broker did not accept
}

// Published returns the PUBLISH packets of all QoS.
func (t *Traffic) Published() uint64 { return t.Messages[0] + t.Messages[1] + t.Messages[2] }

// Counts returns the counts of now.
func (c *Counters) Counts() Counts {
	return Counts{
		Received: c.received.load(), Sent: c.sent.load(),
		Sockets: c.sockets.Load(), Connects: c.connects.Load(), Accepted: c.accepted.Load(),
		Refused: c.refused.Load(), TooLarge: c.large.Load(),
		Connected: c.now.Load(), Maximum: c.top.Load(),
	}
}

// TurnedAway notes a connection that is closed before it became a Conn.
func (c *Counters) TurnedAway() {
	c.sockets.Add(1)
	c.refused.Add(1)
}

// accept notes a client that was let in.
func (c *Counters) accept() {
	c.accepted.Add(1)
	n := c.now.Add(1)
	for top := c.top.Load(); n > top && !c.top.CompareAndSwap(top, n); {
		top = c.top.Load()
	}
}

// end notes the end of a connection.
func (c *Counters) end(accepted bool) {
	if accepted {
		c.now.Add(-1)
	} else {
		c.refused.Add(1)
	}
}

// A count is the traffic of one goroutine of a connection since it last told
// the Counters. Counting in plain memory, and telling once for a block, keeps
// the connections from fighting over cache lines for each packet.
type count struct{ Traffic }

// message counts a PUBLISH, beside its bytes and its packet.
func (n *count) message(qos byte, payload int) {
	n.Messages[qos]++
	n.Payload += uint64(payload)
}

// verdict counts a PUBLISH that was not accepted.
func (n *count) verdict(v delivery.Verdict) {
	if v >= delivery.Refused {
		n.Refused++
	}
}

// packets counts the whole packets in b.
func (n *count) packets(b []byte) {
	for len(b) > 0 {
		length, size := varint(b[1:])
		total := 1 + size + int(length)
		if size <= 0 || total > len(b) {
			return // Not reached: our own packets are whole.
		}
		n.Packets++
		b = b[total:]
	}
}

// A tally is the traffic of all connections in one direction.
type tally struct {
	bytes, packets, payload, refused atomic.Uint64
	messages                         [3]atomic.Uint64
}

// add takes over what n has counted.
func (t *tally) add(n *count) {
	if n.Bytes == 0 && n.Packets == 0 {
		return
	}
	t.bytes.Add(n.Bytes)
	t.packets.Add(n.Packets)
	if n.Published() > 0 {
		for qos, m := range n.Messages {
			if m > 0 {
				t.messages[qos].Add(m)
			}
		}
		t.payload.Add(n.Payload)
		t.refused.Add(n.Refused)
	}
	*n = count{}
}

func (t *tally) load() Traffic {
	out := Traffic{Bytes: t.bytes.Load(), Packets: t.packets.Load(), Payload: t.payload.Load(), Refused: t.refused.Load()}
	for qos := range t.messages {
		out.Messages[qos] = t.messages[qos].Load()
	}
	return out
}
