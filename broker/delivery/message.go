package delivery

import (
	"bytes"
	"math"
	"sync/atomic"

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

	keep *Message // made by kept; only the publishing goroutine looks

	// after is the ticket that must be committed before the message is
	// delivered: a QoS 2 message that a crash makes the publisher send anew
	// must not have been delivered already.
	after atomic.Uint64
}

// Tickets that no journal gives.
const (
	uncommitted = math.MaxUint64     // the message has none yet
	withdrawn   = math.MaxUint64 - 1 // it could not be kept: it is not delivered
)

// overhead is about what a queued message costs beside topic and payload.
const overhead = 96

func (m *Message) size() int { return overhead + len(m.Topic) + len(m.Payload) }

// kept returns m, or a copy of it that does not hold the block of memory that
// its payload was read into. Only the goroutine that publishes m may call it.
func (m *Message) kept() *Message {
	if !m.Borrowed {
		return m
	}
	if m.keep == nil {
		m.keep = &Message{Message: m.Message, Command: m.Command}
		m.keep.Payload = bytes.Clone(m.Payload)
		m.keep.after.Store(m.after.Load())
	}
	return m.keep
}

func (m *Message) setAfter(t uint64) {
	m.after.Store(t)
	if m.keep != nil {
		m.keep.after.Store(t)
	}
}

// expired reports whether m must not be delivered any more at now, a Unix time
// in seconds (MQTT 5.0, section 3.3.2.3.3).
func (m *Message) expired(now int64) bool { return m.Expires != 0 && m.Expires <= now }
