package load

import (
	"fmt"
	"sync/atomic"
	"time"

	"edge/bench/wire"
)

// A publisher sends the messages of one connection, as many at a time as its
// window and its flow have room for, and completes the handshakes of QoS 1
// and 2. It is one goroutine.
type publisher struct {
	conn  *Conn
	spec  *Spec
	index uint32
	flow  *flow

	topics  [][]byte
	payload []byte
	out     []byte // bytes to write
	sent    atomic.Uint32
	id      uint16
	unacked int
}

func newPublisher(conn *Conn, spec *Spec, index int) *publisher {
	p := &publisher{
		conn: conn, spec: spec, index: uint32(index),
		flow:    newFlow(spec.Outstanding, spec.Fanout),
		payload: make([]byte, max(spec.Payload, markSize)),
	}
	for _, topic := range spec.Topics[index] {
		p.topics = append(p.topics, []byte(topic))
	}
	return p
}

// run publishes until stop is closed or all messages of the specification are
// sent, then returns when everything is acknowledged.
func (p *publisher) run(stop <-chan struct{}) error {
	if p.spec.Every > 0 {
		return p.pace(stop)
	}
	for {
		n := 0
		ended := p.ended(stop)
		if !ended {
			n = p.room()
		}
		switch {
		case n > 0 || len(p.out) > 0:
			if err := p.send(n); err != nil {
				return err
			}
		case p.unacked > 0:
			if err := p.conn.Batch(p.acknowledged); err != nil {
				return fmt.Errorf("publisher %d: read acknowledgements: %w", p.index, err)
			}
		case ended:
			return nil
		default:
			p.flow.await(p.least(), stop)
		}
	}
}

func (p *publisher) ended(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return p.spec.Count > 0 && int(p.sent.Load()) >= p.spec.Count
	}
}

// least returns how many messages make a write worthwhile.
func (p *publisher) least() int {
	least := p.spec.Batch
	if p.spec.QoS > 0 {
		least = min(least, p.spec.Window)
	}
	return least
}

// room returns how many messages to send now. At QoS 0 that is a whole batch or
// nothing; above it acknowledgements set the pace.
func (p *publisher) room() int {
	n := p.flow.room()
	if p.spec.QoS == 0 && n < p.spec.Batch {
		return 0
	}
	n = min(n, p.spec.Batch)
	if p.spec.QoS > 0 {
		n = min(n, p.spec.Window-p.unacked)
	}
	if p.spec.Count > 0 {
		n = min(n, p.spec.Count-int(p.sent.Load()))
	}
	return n
}

// send writes n messages behind the acknowledgements that are due, at once.
func (p *publisher) send(n int) error {
	p.flow.add(n)
	now := time.Since(epoch)
	seq := p.sent.Load()
	for range n {
		mark{p.index, seq, now}.put(p.payload)
		m := wire.Message{
			Topic: p.topics[int(seq)%len(p.topics)], Payload: p.payload,
			QoS: p.spec.QoS, Retain: p.spec.Retain,
		}
		if p.spec.QoS > 0 {
			m.ID = p.nextID()
			p.unacked++
		}
		p.out = wire.AppendPublish(p.out, m)
		seq++
	}
	p.sent.Store(seq)
	_, err := p.conn.Write(p.out)
	p.out = p.out[:0]
	if err != nil {
		return fmt.Errorf("publisher %d: write %d messages: %w", p.index, n, err)
	}
	return nil
}

// nextID returns the next packet id. Windows are far below 65 535, so that it
// is free whenever acknowledgements come at all.
func (p *publisher) nextID() uint16 {
	p.id++
	if p.id == 0 {
		p.id = 1
	}
	return p.id
}

func (p *publisher) acknowledged(k wire.Packet) error {
	switch k.Type {
	case wire.Puback, wire.Pubcomp:
		p.unacked--
	case wire.Pubrec:
		id, err := k.ID()
		if err != nil {
			return err
		}
		p.out = wire.AppendAck(p.out, wire.Pubrel, id)
	default:
		return fmt.Errorf("unexpected packet type %d", k.Type)
	}
	return nil
}

// pace sends one message each Spec.Every; drain takes the acknowledgements.
func (p *publisher) pace(stop <-chan struct{}) error {
	tick := time.NewTicker(p.spec.Every)
	defer tick.Stop()
	for start := time.Now(); !p.ended(stop); {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		// A late tick is made up for, one write for each message.
		for due := int(time.Since(start) / p.spec.Every); int(p.sent.Load()) < due; {
			if err := p.send(1); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain reads and forgets acknowledgements until the connection ends.
func (p *publisher) drain() error {
	for {
		if err := p.conn.Batch(func(wire.Packet) error { return nil }); err != nil {
			return fmt.Errorf("publisher %d: read acknowledgements: %w", p.index, err)
		}
	}
}
