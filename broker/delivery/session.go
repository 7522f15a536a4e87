package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"edge/broker/journal"
)

// A Link is the connection of a session.
type Link interface {
	// Wake is called when the session has something to send, once for each
	// time that Next returned nothing. It must not block.
	Wake()

	// Kick ends the connection because another one took its session over. It
	// must not block.
	Kick()

	// Done is closed when the connection touches its session no more.
	Done() <-chan struct{}
}

// A Session is what the broker keeps for one client id: subscriptions, messages
// that wait, and the state of their flows (MQTT 5.0, section 4.1).
type Session struct {
	engine *Engine
	id     string
	owner  string // name of the principal; empty: everybody's
	local  bool   // within the process
	access atomic.Pointer[Access]

	full  atomic.Bool // the queue takes no more QoS 1 and 2 messages
	lasts atomic.Bool // expiry > 0

	mu      sync.Mutex
	link    Link
	leaving Link // had the session until now, and is not done with it
	ended   bool
	idle    bool   // Next found nothing: the next push must wake
	window  int    // QoS 1 and 2 messages that may be on their way at once
	open    int    // how many are
	next    uint64 // sequence number of the next QoS 1 or 2 message
	resent  uint64 // messages in sent below this number are on this connection

	queue   ring[item] // not sent yet, all QoS, in order
	sent    ring[item] // QoS 1 and 2, sent and not acknowledged, in order
	cut     uint64     // no QoS 0 message that may be dropped is in queue below this number
	over    bool       // the sessions of its owner have too much, says Weigh
	dropped int        // tombstones in queue
	bytes0  int        // of QoS 0 messages in queue
	bytes   int        // of QoS 1 and 2 messages in queue
	count   int        // of QoS 1 and 2 messages in queue
	unkept  int        // of bytes: of messages that are in memory alone
	lost    bool       // it has had more than it may, and takes nothing more

	received map[uint16]owned // QoS 2 ids of the client that PUBREL has not released
	flows    journal.Ticket   // of the newest record that a PUBREL or PUBCOMP waits for
	subs     map[string]journal.Subscription
	places   places
	spilled  uint64         // messages in queue below this number were looked at by spill
	doubtful uint64         // messages in queue below this number came when other rules may have held
	refused  journal.Ticket // of a record appended after the disk did not give a message; 0: since then it has
	groups   []*group       // that it is a member of
	shared   bool           // queue and sent may have messages of groups
	taken    bool           // by another connection, which comes next
	expiry   uint32         // seconds; Forever
	will     *Will
	timer    *time.Timer // ends an offline session
	willAt   *time.Timer // sends a delayed will
	stats    Dropped
	told     Dropped // of stats, by Losses
	losing   bool    // stats has more than told, and Losses will be asked

	restored bool  // from the journal, and Continue was not called yet
	since    int64 // Unix time since which it has no connection, while it is restored
}

// An item is a message in a session's queue.
type item struct {
	m     *Message      // nil: on disk at place, or, if that is nowhere, a tombstone
	tag   *tag          // nil where there is nothing to say
	seq   uint64        // of QoS 1 and 2 messages
	place journal.Place // of the record on disk; nowhere: where m says
	size  uint32        // in the books, while m is on disk
	qos   byte
	flags flags
}

// gone reports whether it is a tombstone.
func (it *item) gone() bool { return it.m == nil && it.place == 0 }

// bury makes a tombstone of it.
func (it *item) bury() { it.m, it.place = nil, 0 }

// bytes returns what it takes in the books.
func (it *item) bytes() int {
	if it.m != nil {
		return it.m.size()
	}
	return int(it.size)
}

// where returns the place of its record.
func (it *item) where() journal.Place {
	if it.place == 0 && it.m != nil {
		return journal.Place(it.m.place.Load())
	}
	return it.place
}

type flags byte

const (
	retained     flags = 1 << iota // goes out with RETAIN set
	pinned                         // must not be dropped: it answers a SUBSCRIBE
	released                       // PUBREC was seen: only PUBREL is sent from now on
	done                           // acknowledged out of order
	inMemoryOnly                   // counts for Options.UnkeptBytes
)

// An Out is what Next gives a connection to send.
type Out struct {
	Message *Message
	IDs     []uint32 // subscription identifiers
	ID      uint16   // packet id, 0 at QoS 0
	Left    uint32   // seconds until the message expires, if it does
	QoS     byte
	Retain  bool
	Dup     bool
	Release bool // send PUBREL with ID instead of the message
}

// Dropped counts what a session lost, by reason.
type Dropped struct {
	Slow      uint64 // QoS 0 messages beyond the budget of a slow reader
	Expired   uint64 // messages whose time was over
	Full      uint64 // QoS 1 and 2 messages beyond the limits of the queue
	Large     uint64 // messages beyond the maximum packet size of the client
	Orphaned  uint64 // QoS 1 and 2 messages for a group that had no member left to take them
	Damaged   uint64 // messages whose record on disk cannot be read
	Forbidden uint64 // messages that the client must not have any more
}

// maxSpan bounds how far the newest message on its way may be from the oldest:
// packet ids must differ.
const maxSpan = 65535

// longQueue is how many messages may wait for a connection before later ones
// are copied out of the blocks that they were read into: a block stays in
// memory as long as one of its messages does.
const longQueue = 512

// packetID returns the packet id of the message with sequence number seq.
func (s *Session) packetID(seq uint64) uint16 { return journal.PacketID(seq, s.places.first) }

// ID returns the client id.
func (s *Session) ID() string { return s.id }

// Dropped returns what the session lost so far.
func (s *Session) Dropped() Dropped {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// durable reports whether the session outlives its connection.
func (s *Session) durable() bool { return s.lasts.Load() }

// push queues it, numbers it if its QoS is 1 or 2, and returns the link if that
// must be woken. ok is false if the session does not take it.
func (s *Session) push(it *item) (wake Link, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.lost || s.link == nil && it.qos == 0 {
		return nil, false
	}
	if it.tag.of() != nil {
		s.shared = true
	}
	if it.qos > 0 {
		s.pushQoS(it)
	} else {
		s.bytes0 += it.m.size()
		if s.queue.len() > longQueue {
			it.m = it.m.kept()
		}
	}
	s.queue.push(*it)
	s.spill()
	if int64(s.bytes0) > s.engine.pressure.qos0.Load() {
		s.dropSlow()
	}
	if s.idle {
		s.idle = false
		wake = s.link
	}
	if s.overruns() {
		s.lost = true
		wake = overrun{s.link, s.engine.opts.Overrun}
	}
	return wake, true
}

func (s *Session) pushQoS(it *item) {
	it.seq = s.next
	s.next++
	s.count++
	s.bytes += it.bytes()
	s.bookUnkept(it)
	if s.link == nil || s.queue.len() > longQueue {
		it.m = it.m.kept()
	}
	s.checkFull()
	if s.full.Load() && s.engine.opts.DropOldest {
		s.dropOldest()
	}
}

// rouse returns the link if it waits to be woken.
func (s *Session) rouse() Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.idle {
		return nil
	}
	s.idle = false
	return s.link
}

// checkFull notes whether the next message is refused, or, if the oldest are
// dropped instead, whether one of them is too many.
func (s *Session) checkFull() {
	o := &s.engine.opts
	most := o.QueueMessages
	if !o.DropOldest {
		most--
	}
	if full := s.over || s.count > most || s.bytes > o.QueueBytes || o.DropOldest && s.overUnkept(); full != s.full.Load() {
		s.full.Store(full)
	}
}

// dropSlow makes tombstones of the oldest QoS 0 messages until the rest fits
// into the budget; the newest always stays.
func (s *Session) dropSlow() {
	s.cut = max(s.cut, s.queue.head)
	most := int(s.engine.pressure.qos0.Load())
	for ; s.bytes0 > most && s.cut < s.queue.tail-1; s.cut++ {
		it := s.queue.at(s.cut)
		if it.gone() || it.qos > 0 || it.flags&pinned != 0 {
			continue
		}
		s.bytes0 -= it.bytes()
		it.bury()
		s.dropped++
		s.stats.Slow++
		s.engine.count(&s.engine.dropped.Slow, s, "slow reader")
	}
	s.compact()
}

// dropOldest makes tombstones of the oldest QoS 1 and 2 messages until the rest
// is within the limits.
func (s *Session) dropOldest() {
	for n := s.queue.head; n < s.queue.tail && s.full.Load(); n++ {
		it := s.queue.at(n)
		if it.gone() || it.qos == 0 {
			continue
		}
		s.forget(it)
		it.bury()
		s.dropped++
		s.stats.Full++
		s.engine.count(&s.engine.dropped.Full, s, "full queue")
	}
	s.compact()
}

// forget takes a QoS 1 or 2 message that will not be sent out of the books.
func (s *Session) forget(it *item) {
	s.unbook(it)
	s.acknowledged(it.seq)
}

// retract takes back the message with number seq, if it still waits.
func (s *Session) retract(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := search(&s.queue, seq); it != nil && !it.gone() {
		s.unbook(it)
		it.bury()
		s.dropped++
		s.compact()
	}
}

// unbook takes a message that leaves the queue out of the books.
func (s *Session) unbook(it *item) {
	if it.qos == 0 {
		s.bytes0 -= it.bytes()
		return
	}
	s.count--
	s.bytes -= it.bytes()
	if it.flags&inMemoryOnly != 0 {
		s.unkept -= it.bytes()
	}
	s.checkFull()
}

// compact removes the tombstones when they are most of the queue.
func (s *Session) compact() {
	if s.dropped < 1024 || s.dropped < s.queue.len()/2 {
		return
	}
	s.queue.filter(func(it *item) bool { return !it.gone() })
	if s.queue.len() == 0 {
		s.queue = ring[item]{}
	}
	s.dropped = 0
	s.cut, s.spilled = s.queue.head, s.queue.head
}

// Subscriptions returns the subscriptions of the session.
func (s *Session) Subscriptions() []journal.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	subs := make([]journal.Subscription, 0, len(s.subs))
	for _, sub := range s.subs {
		subs = append(subs, sub)
	}
	return subs
}
