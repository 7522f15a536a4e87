package journal

import (
	"encoding/binary"
	"errors"
	"math"
)

// The body of a record is a mask, and the fields of Record whose bits it has,
// in the order of the bits; a field without its bit is zero. So a record may
// get a field without a change of what is on disk. Numbers are varints as of
// encoding/binary; texts have their length before them. Within and Place are
// not kept. Zeros may follow: they leave room for a longer body to replace
// this one before it is written.
const (
	hasClient = 1 << iota
	hasSequence
	hasPacketID
	hasMessage
	hasTargets
	hasSubscription
	hasExpiry
	hasSince
	hasDelay
	hasOwner
	hasUnknown // and all above
)

// Flags of messages, properties, targets and subscriptions. The two lowest bits
// of all but properties are the QoS.
const (
	qosBits = 3

	messageRetain  = 4
	messageProps   = 8
	messageOrigin  = 16
	messageExpires = 32
	messageFlags   = 63

	propsText        = 1
	propsContentType = 2
	propsResponse    = 4
	propsCorrelation = 8
	propsUser        = 16
	propsFlags       = 31

	targetRetain   = 4
	targetReleased = 8
	targetIDs      = 16
	targetShare    = 32
	targetFlags    = 63

	subscriptionNoLocal     = 4
	subscriptionAsPublished = 8
	subscriptionID          = 16
	subscriptionHandling    = 5 // two bits from here
	subscriptionFlags       = 127
)

// appendBody appends the body of r to b.
func appendBody(b []byte, r *Record) []byte {
	m := r.mask()
	b = binary.AppendUvarint(b, m)
	if m&hasClient != 0 {
		b = appendText(b, r.Client)
	}
	if m&hasSequence != 0 {
		b = binary.AppendUvarint(b, r.Sequence)
	}
	if m&hasPacketID != 0 {
		b = binary.AppendUvarint(b, uint64(r.PacketID))
	}
	if m&hasMessage != 0 {
		b = appendMessage(b, r.Message)
	}
	if m&hasTargets != 0 {
		b = appendTargets(b, r.Targets)
	}
	if m&hasSubscription != 0 {
		b = appendSubscription(b, &r.Subscription)
	}
	if m&hasExpiry != 0 {
		b = binary.AppendUvarint(b, uint64(r.Expiry))
	}
	if m&hasSince != 0 {
		b = binary.AppendVarint(b, r.Since)
	}
	if m&hasDelay != 0 {
		b = binary.AppendUvarint(b, uint64(r.Delay))
	}
	if m&hasOwner != 0 {
		b = appendText(b, r.Owner)
	}
	return b
}

func (r *Record) mask() uint64 {
	return bit[uint64](r.Client != "", hasClient) | bit[uint64](r.Sequence != 0, hasSequence) |
		bit[uint64](r.PacketID != 0, hasPacketID) | bit[uint64](r.Message != nil, hasMessage) |
		bit[uint64](len(r.Targets) > 0, hasTargets) | bit[uint64](r.Subscription != Subscription{}, hasSubscription) |
		bit[uint64](r.Expiry != 0, hasExpiry) | bit[uint64](r.Since != 0, hasSince) | bit[uint64](r.Delay != 0, hasDelay) |
		bit[uint64](r.Owner != "", hasOwner)
}

func bit[T byte | uint64](set bool, b T) T {
	if set {
		return b
	}
	return 0
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendMessage(b []byte, m *Message) []byte {
	b = append(b, m.QoS&qosBits|bit[byte](m.Retain, messageRetain)|bit[byte](m.Props != nil, messageProps)|
		bit[byte](m.Origin != "", messageOrigin)|bit[byte](m.Expires != 0, messageExpires))
	b = appendText(b, m.Topic)
	if m.Props != nil {
		b = appendProperties(b, m.Props)
	}
	if m.Origin != "" {
		b = appendText(b, m.Origin)
	}
	if m.Expires != 0 {
		b = binary.AppendVarint(b, m.Expires)
	}
	return appendText(b, m.Payload)
}

func appendProperties(b []byte, p *Properties) []byte {
	b = append(b, bit[byte](p.Text, propsText)|bit[byte](p.ContentType != "", propsContentType)|
		bit[byte](p.ResponseTopic != "", propsResponse)|bit[byte](p.CorrelationData != nil, propsCorrelation)|
		bit[byte](len(p.User) > 0, propsUser))
	if p.ContentType != "" {
		b = appendText(b, p.ContentType)
	}
	if p.ResponseTopic != "" {
		b = appendText(b, p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		b = appendText(b, p.CorrelationData)
	}
	if len(p.User) > 0 {
		b = binary.AppendUvarint(b, uint64(len(p.User)))
	}
	for _, u := range p.User {
		b = appendText(appendText(b, u.Name), u.Value)
	}
	return b
}

func appendTargets(b []byte, targets []Target) []byte {
	b = binary.AppendUvarint(b, uint64(len(targets)))
	for i := range targets {
		t := &targets[i]
		b = append(b, t.QoS&qosBits|bit[byte](t.Retain, targetRetain)|bit[byte](t.Released, targetReleased)|
			bit[byte](len(t.IDs) > 0, targetIDs)|bit[byte](t.Share != "", targetShare))
		b = binary.AppendUvarint(appendText(b, t.Client), t.Sequence)
		if len(t.IDs) > 0 {
			b = binary.AppendUvarint(b, uint64(len(t.IDs)))
		}
		for _, id := range t.IDs {
			b = binary.AppendUvarint(b, uint64(id))
		}
		if t.Share != "" {
			b = appendText(b, t.Share)
		}
	}
	return b
}

func appendSubscription(b []byte, s *Subscription) []byte {
	b = append(b, s.QoS&qosBits|bit[byte](s.NoLocal, subscriptionNoLocal)|
		bit[byte](s.RetainAsPublished, subscriptionAsPublished)|bit[byte](s.ID != 0, subscriptionID)|
		s.RetainHandling&3<<subscriptionHandling)
	b = appendText(b, s.Filter)
	if s.ID != 0 {
		b = binary.AppendUvarint(b, uint64(s.ID))
	}
	return b
}

var errBody = errors.New("the body of the record is not one that this version of the program knows")

// A decoder reads bodies. What it returns is valid until its next use, but for
// texts, which may be kept. The zero value is ready.
type decoder struct {
	b   []byte
	bad bool

	record  Record
	message Message
	props   Properties
	users   []UserProperty
	targets []Target
	ids     []uint32

	// texts has the texts seen lately: a log repeats few client ids and topics
	// very often.
	texts map[string]string
}

const (
	maxTexts    = 4096 // texts that a decoder remembers
	maxTextSize = 256  // bytes of the longest of them
)

// decode reads a body; kind comes from the head.
func (d *decoder) decode(kind Kind, body []byte) (*Record, error) {
	d.b, d.bad, d.ids = body, false, d.ids[:0]
	d.record = Record{Kind: kind}
	d.fields(&d.record)
	if kind == 0 || kind > lastKind || d.bad || !zeros(d.b) {
		return nil, errBody
	}
	return &d.record, nil
}

func (d *decoder) fields(r *Record) {
	m := d.uvarint(hasUnknown - 1)
	if m&hasClient != 0 {
		r.Client = d.text()
	}
	if m&hasSequence != 0 {
		r.Sequence = d.uvarint(math.MaxUint64)
	}
	if m&hasPacketID != 0 {
		r.PacketID = uint16(d.uvarint(math.MaxUint16))
	}
	if m&hasMessage != 0 {
		r.Message = d.readMessage()
	}
	if m&hasTargets != 0 {
		d.readTargets(r)
	}
	if m&hasSubscription != 0 {
		r.Subscription = d.readSubscription()
	}
	if m&hasExpiry != 0 {
		r.Expiry = uint32(d.uvarint(math.MaxUint32))
	}
	if m&hasSince != 0 {
		r.Since = d.varint()
	}
	if m&hasDelay != 0 {
		r.Delay = uint32(d.uvarint(math.MaxUint32))
	}
	if m&hasOwner != 0 {
		r.Owner = d.text()
	}
}

func (d *decoder) readMessage() *Message {
	m := &d.message
	flags := d.flags(messageFlags)
	*m = Message{QoS: flags & qosBits, Retain: flags&messageRetain != 0, Topic: d.text()}
	if flags&messageProps != 0 {
		m.Props = d.readProperties()
	}
	if flags&messageOrigin != 0 {
		m.Origin = d.text()
	}
	if flags&messageExpires != 0 {
		m.Expires = d.varint()
	}
	m.Payload = d.bytes()
	return m
}

func (d *decoder) readProperties() *Properties {
	p := &d.props
	flags := d.byte(propsFlags)
	*p = Properties{Text: flags&propsText != 0}
	if flags&propsContentType != 0 {
		p.ContentType = d.text()
	}
	if flags&propsResponse != 0 {
		p.ResponseTopic = d.text()
	}
	if flags&propsCorrelation != 0 {
		if p.CorrelationData = d.bytes(); p.CorrelationData == nil {
			p.CorrelationData = []byte{} // It is there, and empty.
		}
	}
	if flags&propsUser != 0 {
		d.users = d.users[:0]
		for range d.count(2) {
			d.users = append(d.users, UserProperty{Name: d.text(), Value: d.text()})
		}
		p.User = d.users
	}
	return p
}

func (d *decoder) readTargets(r *Record) {
	d.targets = d.targets[:0]
	for range d.count(3) {
		flags := d.flags(targetFlags)
		t := Target{
			QoS: flags & qosBits, Retain: flags&targetRetain != 0, Released: flags&targetReleased != 0,
			Client: d.text(), Sequence: d.uvarint(math.MaxUint64),
		}
		if flags&targetIDs != 0 {
			n := len(d.ids)
			for range d.count(1) {
				d.ids = append(d.ids, uint32(d.uvarint(math.MaxUint32)))
			}
			t.IDs = d.ids[n:len(d.ids):len(d.ids)]
		}
		if flags&targetShare != 0 {
			t.Share = d.text()
		}
		d.targets = append(d.targets, t)
	}
	r.Targets = d.targets
}

func (d *decoder) readSubscription() Subscription {
	flags := d.flags(subscriptionFlags)
	s := Subscription{
		QoS: flags & qosBits, NoLocal: flags&subscriptionNoLocal != 0, RetainAsPublished: flags&subscriptionAsPublished != 0,
		RetainHandling: flags >> subscriptionHandling, Filter: d.text(),
	}
	if flags&subscriptionID != 0 {
		s.ID = uint32(d.uvarint(math.MaxUint32))
	}
	return s
}

// fail makes the body a bad one: everything that is read from now on is zero.
func (d *decoder) fail() { d.b, d.bad = nil, true }

// uvarint reads a number up to limit.
func (d *decoder) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many things follow, each of at least size bytes.
func (d *decoder) count(size int) int { return int(d.uvarint(uint64(len(d.b) / size))) }

// byte reads a byte of flags, which must be among known.
func (d *decoder) byte(known byte) byte {
	if len(d.b) == 0 || d.b[0]&^known != 0 {
		d.fail()
		return 0
	}
	f := d.b[0]
	d.b = d.b[1:]
	return f
}

// flags reads a byte of flags with a QoS.
func (d *decoder) flags(known byte) byte {
	f := d.byte(known)
	if f&qosBits == qosBits {
		d.fail()
		return 0
	}
	return f
}

// bytes returns what lies in the body; nil is empty.
func (d *decoder) bytes() []byte {
	n := d.count(1)
	if n == 0 || d.bad {
		return nil
	}
	// count looked at what was left with the length itself still in it.
	if n > len(d.b) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) text() string {
	b := d.bytes()
	if len(b) > maxTextSize {
		return string(b)
	}
	if s, ok := d.texts[string(b)]; ok {
		return s
	}
	if d.texts == nil || len(d.texts) >= maxTexts {
		d.texts = make(map[string]string)
	}
	s := string(b)
	d.texts[s] = s
	return s
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
