// Package journal is where the state of the broker goes that must outlive a
// lost connection, the process and a power cut. It says what such state is
// (Record) and when it is safe (Ticket); it knows no connections and no routes.
package journal

import "time"

// A Ticket numbers what was appended. Zero is always committed.
type Ticket uint64

// A Journal takes records and says when they are safe. An acknowledgement that
// means "safe" is sent when the ticket of its record is committed. All methods
// may be called from several goroutines at once.
type Journal interface {
	// Append adds r, sets r.Place and returns the ticket of r, which is not
	// smaller than those returned before. It does not wait for the disk, and
	// keeps no reference to r. An error means that r is not kept and never will
	// be: nothing that depends on it may be acknowledged.
	//
	// What was appended first is committed and replayed first. So whoever
	// appends the records of one session or topic under one lock finds them in
	// the order in which its state changed.
	Append(r *Record) (Ticket, error)

	// Committed returns the newest ticket that is safe; all older ones are.
	Committed() Ticket

	// Watch calls f after each advance of Committed, until the journal is
	// closed. Calls do not overlap; f may ask Committed but must not wait for a
	// ticket. Watch is called once, before the first Append.
	Watch(f func())

	// Hurry has everything committed soon that waits for its Within. It does
	// not block.
	Hurry()

	// Load returns the message of the Published or WillSet record at p, whether
	// it is committed or not. It reads the disk. ErrGone says that the record
	// was cleaned away: whoever had it kept knows its new Place.
	Load(p Place) (*Message, error)
}

// A Place says where a record lies: the number of its segment in this process,
// and 32 bits of offset in it. Zero is nowhere: the journal is in memory.
type Place uint64

func placeAt(number, offset uint32) Place { return Place(number)<<32 | Place(offset) }

func (p Place) number() uint32 { return uint32(p >> 32) }
func (p Place) offset() uint32 { return uint32(p) }

// Kind says what a Record means.
type Kind uint8

// The kinds of records and the fields that each uses beside Client.
const (
	SessionBegun Kind = iota + 1 // Expiry; replaces what an older record says
	SessionEnded                 // the session, its subscriptions, queue and ids are gone
	Subscribed                   // Subscription
	Unsubscribed                 // Subscription.Filter
	Published                    // Message, Targets; PacketID if QoS 2: the id is owned now
	Released                     // PacketID of a QoS 2 PUBLISH by the client: it may be used anew
	Acknowledged                 // Sequence of a message to the client: its flow has ended
	Received                     // Sequence of a QoS 2 message to the client: PUBREC was seen
	WillSet                      // Message, Delay
	WillCleared                  // the will was sent or revoked
	Owned                        // PacketID of a QoS 2 PUBLISH by the client is owned; its message is not needed any more
	ClockRead                    // Since is the time by which messages expire, Sequence the time of day, both like Unix time; no Client

	lastKind = ClockRead
)

// A Record is one change of state that must survive.
type Record struct {
	Kind   Kind
	Client string // client id of the session that changes
	Owner  string // SessionBegun, WillSet: the principal that the session belongs to; a retained message: who published it

	Expiry       uint32 // seconds that the session outlives its connection
	Subscription Subscription
	Message      *Message
	Targets      []Target
	PacketID     uint16
	Sequence     uint64
	Delay        uint32 // seconds
	Since        int64  // SessionBegun: Unix time in seconds since which the session has no connection; 0 while it has one

	// Within is how long the commit may wait for more; 0 is as soon as
	// possible. It is not kept.
	Within time.Duration

	// Place is set by Append, and in what Replay and cleaning hand out.
	Place Place
}

// A Message is an application message as it is kept.
type Message struct {
	Topic   string
	Payload []byte
	Props   *Properties // nil where MQTT 5 has nothing to carry
	Origin  string      // client id of the publisher
	Expires int64       // Unix time in seconds; 0 is never
	QoS     byte
	Retain  bool
}

// Properties are what MQTT 5 carries from publisher to subscriber, unaltered
// (MQTT 5.0, section 3.3.2.3).
type Properties struct {
	Text            bool // payload format indicator 1
	ContentType     string
	ResponseTopic   string
	CorrelationData []byte
	User            []UserProperty
}

// A UserProperty is a name and a value (section 3.3.2.3.7).
type UserProperty struct{ Name, Value string }

// A Target is a session that a message is queued for.
type Target struct {
	Client   string
	Sequence uint64 // of the message in that session; see PacketID
	QoS      byte
	Retain   bool
	Released bool     // QoS 2: PUBREC was seen; only PUBREL is sent from now on
	IDs      []uint32 // subscription identifiers
	Share    string   // the filter, if it came by way of a shared subscription: another member may get it
}

// PacketID returns the packet id of the message with a sequence number in a session
// whose SessionBegun has the number first. It belongs to the message for good, so
// nothing must be written when it is sent.
func PacketID(sequence, first uint64) uint16 { return uint16((sequence-first)%65535) + 1 }

// A Subscription is a filter with its options (MQTT 5.0, section 3.8.3.1).
type Subscription struct {
	Filter            string
	ID                uint32 // subscription identifier; 0 is none
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
}
