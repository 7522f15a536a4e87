package delivery

import (
	"bytes"
	"math"
	"sync/atomic"
	"time"

	"edge/broker/journal"
)

// A Message is an application message on its way. It is not changed after it
// was published.
type Message struct {
	journal.Message

	// Borrowed says that the payload lies in a block of memory that it shares
	// with other messages; whoever keeps it for long takes kept instead.
	Borrowed bool

	// Command says that the message is one that must not be executed late.
	Command bool

	// Sender is who has published the message in this process; nil is not known.
	Sender *Sender

	// arrived is when a command came, since the engine began.
	arrived time.Duration

	keep atomic.Pointer[Message] // made by kept

	// after is the ticket that must be committed before the message is
	// delivered: a QoS 2 message that a crash makes the publisher send anew
	// must not have been delivered already.
	after atomic.Uint64

	// place is where the record of the message lies on disk; 0 is nowhere, or
	// not known yet.
	place atomic.Uint64
}

// A Sender is who has published a message.
type Sender struct {
	Client string // client id
	Owner  string // name of the principal

	// Connection numbers the connections since the engine began, those within the
	// process among them; 0 is that of a client that is not connected, which has
	// left its will.
	Connection uint64
}

// Arrived returns when m came, if it is a command that was published in this
// process; zero is not known.
func (e *Engine) Arrived(m *Message) time.Time {
	if m.arrived == 0 {
		return time.Time{}
	}
	return e.began.Add(m.arrived)
}

// Tickets that no journal gives.
const (
	uncommitted = math.MaxUint64     // the message has none yet
	withdrawn   = math.MaxUint64 - 1 // it could not be kept: it is not delivered
)

// overhead is about what a queued message costs beside topic and payload.
const overhead = 96

func (m *Message) size() int { return overhead + len(m.Topic) + len(m.Payload) }

// kept returns m, or the copy of it that does not hold the block of memory that
// its payload was read into. Any goroutine may call it.
func (m *Message) kept() *Message {
	if !m.Borrowed {
		return m
	}
	if k := m.keep.Load(); k != nil {
		return k
	}
	k := &Message{Message: m.Message, Command: m.Command, Sender: m.Sender, arrived: m.arrived}
	k.Payload = bytes.Clone(m.Payload)
	k.after.Store(m.after.Load())
	k.place.Store(m.place.Load())
	if !m.keep.CompareAndSwap(nil, k) {
		return m.keep.Load()
	}
	// Who calls setAfter meanwhile may not have seen k.
	if t := m.after.Load(); t != uncommitted {
		k.after.Store(t)
	}
	k.place.Store(m.place.Load())
	return k
}

// placed notes where the record of m lies.
func (m *Message) placed(p journal.Place) {
	m.place.Store(uint64(p))
	if k := m.keep.Load(); k != nil {
		k.place.Store(uint64(p))
	}
}

// setAfter says when m may be delivered, once for each message.
func (m *Message) setAfter(t uint64) {
	m.after.Store(t)
	if k := m.keep.Load(); k != nil {
		k.after.Store(t)
	}
}

// expired reports whether m must not be delivered any more at now, a Unix time
// in seconds (MQTT 5.0, section 3.3.2.3.3).
func (m *Message) expired(now int64) bool { return m.Expires != 0 && m.Expires <= now }
