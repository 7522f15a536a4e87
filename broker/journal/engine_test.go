package journal_test

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"

	"edge/broker/journal"
)

// state is what a log says: a value for each thing, and the record that says so.
type state struct {
	things map[string]thing
	sum    uint64 // of names and values
}

type thing struct {
	value string
	place journal.Place
}

var seed = maphash.MakeSeed()

func newState() *state { return &state{things: map[string]thing{}} }

func (s *state) set(name, value string, p journal.Place) {
	s.forget(name)
	s.things[name] = thing{value, p}
	s.sum += hash(name, value)
}

func (s *state) forget(name string) {
	if old, ok := s.things[name]; ok {
		s.sum -= hash(name, old.value)
		delete(s.things, name)
	}
}

// hash leaves out what may be replaced before it is written: with such things a
// crash need not go back to a state that there was.
func hash(name, value string) uint64 {
	if name[0] == 'w' {
		return 0
	}
	return maphash.String(seed, name+"="+value)
}

func queued(client string, sequence uint64) string {
	return fmt.Sprintf("queued/%s/%d", client, sequence)
}
func owned(client string, id uint16) string   { return fmt.Sprintf("owned/%s/%d", client, id) }
func subscribed(client, filter string) string { return "subscribed/" + client + "/" + filter }
func will(client string) string               { return "x-will/" + client }

// short says which message m is, in few bytes.
func short(m *journal.Message) string { return fmt.Sprintf("%.5s… (%d)", m.Payload, len(m.Payload)) }

// retained are the names of retained messages; those on topics that begin with w
// are for messages that may be replaced.
func retained(topic string) string {
	if topic[0] == 'w' {
		return topic
	}
	return "retained/" + topic
}

// apply changes s as r says, as a broker does: both while it runs and when it
// reads the log.
func (s *state) apply(r *journal.Record) {
	switch r.Kind {
	case journal.SessionBegun:
		s.set("session/"+r.Client, fmt.Sprint(r.Expiry, r.Since), r.Place)
	case journal.SessionEnded:
		s.end(r.Client)
	case journal.Subscribed:
		s.set(subscribed(r.Client, r.Subscription.Filter), fmt.Sprint(r.Subscription), r.Place)
	case journal.Unsubscribed:
		s.forget(subscribed(r.Client, r.Subscription.Filter))
	case journal.Published:
		s.publish(r)
	case journal.Owned:
		s.set(owned(r.Client, r.PacketID), "", r.Place)
	case journal.Released:
		s.forget(owned(r.Client, r.PacketID))
	case journal.Acknowledged:
		s.forget(queued(r.Client, r.Sequence))
	case journal.Received:
		if t, ok := s.things[queued(r.Client, r.Sequence)]; ok {
			s.set(queued(r.Client, r.Sequence), "released", t.place)
		}
	case journal.WillSet:
		s.set(will(r.Client), short(r.Message), r.Place)
	case journal.WillCleared:
		s.forget(will(r.Client))
	}
}

func (s *state) end(client string) {
	for name := range maps.Clone(s.things) {
		for _, kind := range []string{"session/", "subscribed/", "queued/", "owned/", "x-will/"} {
			if n := len(kind) + len(client); len(name) >= n && name[:n] == kind+client {
				s.forget(name)
			}
		}
	}
}

func (s *state) publish(r *journal.Record) {
	m := r.Message
	if m.Retain && len(m.Payload) == 0 {
		s.forget(retained(m.Topic))
	} else if m.Retain {
		s.set(retained(m.Topic), short(m), r.Place)
	}
	if r.PacketID > 0 {
		s.set(owned(r.Client, r.PacketID), "", r.Place)
	}
	for _, t := range r.Targets {
		value := short(m)
		if t.Released {
			value = "released"
		}
		s.set(queued(t.Client, t.Sequence), value, r.Place)
	}
}

// left returns what of r is still needed, and false if nothing is.
func (s *state) left(r *journal.Record) (*journal.Record, bool) {
	is := func(name string) bool { return s.things[name].place == r.Place }
	switch r.Kind {
	case journal.SessionBegun:
		return r, is("session/" + r.Client)
	case journal.Subscribed:
		return r, is(subscribed(r.Client, r.Subscription.Filter))
	case journal.Owned:
		return r, is(owned(r.Client, r.PacketID))
	case journal.WillSet:
		return r, is(will(r.Client))
	}
	return s.leftOfMessage(r, is)
}

func (s *state) leftOfMessage(r *journal.Record, is func(string) bool) (*journal.Record, bool) {
	m := *r.Message
	left := &journal.Record{Kind: journal.Published, Client: r.Client, Message: &m, Within: r.Within, Place: r.Place}
	m.Retain = m.Retain && is(retained(m.Topic))
	for _, t := range r.Targets {
		if name := queued(t.Client, t.Sequence); is(name) {
			t.Released = s.things[name].value == "released"
			left.Targets = append(left.Targets, t)
		}
	}
	id := r.PacketID > 0 && is(owned(r.Client, r.PacketID))
	switch {
	case m.Retain || len(left.Targets) > 0:
		if id {
			left.PacketID = r.PacketID
		}
		return left, true
	case id:
		return &journal.Record{Kind: journal.Owned, Client: r.Client, PacketID: r.PacketID, Within: r.Within, Place: r.Place}, true
	}
	return nil, false
}

// A broker is the least that a journal's user must do.
type broker struct {
	j *journal.Disk

	mu      sync.Mutex
	state   *state
	past    []moment
	refused error // what keep was told last
}

// A moment is what a state was when a ticket was given.
type moment struct {
	ticket journal.Ticket
	sum    uint64
	things map[string]thing
}

// diff says how s differs from what there was.
func (m *moment) diff(s *state) string {
	var b strings.Builder
	for name, old := range m.things {
		if now, ok := s.things[name]; !ok || now.value != old.value {
			fmt.Fprintf(&b, "%s is %q at %x, was %q at %x\n", name, now.value, uint64(now.place), old.value, uint64(old.place))
		}
	}
	for name, now := range s.things {
		if _, ok := m.things[name]; !ok {
			fmt.Fprintf(&b, "%s is %q at %x, was not\n", name, now.value, uint64(now.place))
		}
	}
	return b.String()
}

func (b *broker) append(r *journal.Record) (journal.Ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, err := b.j.Append(r)
	if err == nil {
		b.state.apply(r)
		b.note(t)
	}
	return t, err
}

func (b *broker) note(t journal.Ticket) {
	b.past = append(b.past, moment{t, b.state.sum, maps.Clone(b.state.things)})
}

// now returns a copy of the state, which the cleaner may be changing.
func (b *broker) now() *state {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &state{things: maps.Clone(b.state.things), sum: b.state.sum}
}

// keep is for Disk.Start.
func (b *broker) keep(r *journal.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left, ok := b.state.left(r)
	if !ok {
		return
	}
	if _, err := b.j.Append(left); err != nil {
		b.refused = err
		return
	}
	before := b.state.sum
	b.state.apply(left)
	if before != b.state.sum {
		panic("what is left of a record changes the state")
	}
}

// check says what is wrong with the state s that a crash left, when the journal
// had committed everything up to ticket.
func (b *broker) check(s *state, ticket journal.Ticket) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, _ := slices.BinarySearchFunc(b.past, ticket+1, func(m moment, t journal.Ticket) int { return int(m.ticket) - int(t) })
	past := b.past[max(0, i-1):]
	if !slices.ContainsFunc(past, func(m moment) bool { return m.sum == s.sum }) {
		return fmt.Errorf("the state is none that there was since ticket %d, it differs by\n%s", ticket, past[0].diff(s))
	}
	for _, name := range []string{"w0", "w1"} {
		if !slices.ContainsFunc(past, func(m moment) bool { return m.things[name].value == s.things[name].value }) {
			return fmt.Errorf("retained message %s is %q, none that there was since ticket %d", name, s.things[name].value, ticket)
		}
	}
	return nil
}
