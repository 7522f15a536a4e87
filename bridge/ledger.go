package bridge

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A ledger holds what a bridge has announced and the last attributes of its
// entities, read from what it published, so that it can be marked offline when
// the bridge itself no longer can.
type ledger struct {
	mu      sync.Mutex
	online  map[Base]bool     // what says so, as far as we know
	devices map[Base][]string // ids of the entities
	attrs   map[string][]byte // by topic
	trouble string            // the failure that was reported last; empty when it healed
}

// suspect makes the ledger assume that base is said to be online.
func (l *ledger) suspect(base Base) {
	l.mu.Lock()
	defer l.mu.Unlock()
	put(&l.online, base, true)
}

func (l *ledger) isOnline(base Base) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.online[base]
}

// failed records a failure and reports whether it is news.
func (l *ledger) failed(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := l.trouble != err.Error()
	l.trouble = err.Error()
	return news
}

// healed records that all is well and reports whether that is news.
func (l *ledger) healed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := l.trouble != ""
	l.trouble = ""
	return news
}

// note records m, which was published to be retained.
func (l *ledger) note(m Message) {
	i := strings.LastIndexByte(m.Topic, '/')
	if i < 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch base := Base(m.Topic[:i]); m.Topic[i+1:] {
	case "status":
		put(&l.online, base, string(m.Payload) == Online)
	case "meta":
		l.noteMeta(base, m.Payload)
	case "attr":
		delete(l.attrs, m.Topic)
		if len(m.Payload) > 0 {
			put(&l.attrs, m.Topic, bytes.Clone(m.Payload))
		}
	}
}

func (l *ledger) noteMeta(base Base, payload []byte) {
	delete(l.devices, base)
	var d meta
	if json.Unmarshal(payload, &d) != nil || d.Status != base.Status() {
		return // withdrawn, or not ours
	}
	ids := make([]string, len(d.Entities))
	for i, e := range d.Entities {
		ids[i] = e.ID
	}
	put(&l.devices, base, ids)
}

// obituary returns the messages that mark everything as offline, but not those
// that would repeat what was said.
func (l *ledger) obituary(reason error, since time.Time) []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ms []Message
	for _, base := range slices.Sorted(maps.Keys(l.online)) {
		if l.online[base] {
			ms = append(ms, Message{Topic: base.Status(), Payload: []byte(Offline), QoS: 1, Retain: true, Text: true})
		}
	}
	for _, base := range slices.Sorted(maps.Keys(l.devices)) {
		for _, id := range l.devices[base] {
			name := base.Attr(id)
			attr := lost(l.attrs[name], reason, since)
			if !bytes.Equal(attr, l.attrs[name]) {
				ms = append(ms, Message{Topic: name, Payload: attr, QoS: 1, Retain: true, Text: true, ContentType: "application/json"})
			}
		}
	}
	return ms
}

// lost returns the attributes last, marked offline since then, or for longer if
// they were so already.
func lost(last []byte, reason error, since time.Time) []byte {
	var a Attr
	if json.Unmarshal(last, &a) != nil {
		a = Attr{}
	}
	if a.Quality != Offline || a.Since.IsZero() {
		a.Since = since
	}
	a.Quality, a.Error = Offline, reason.Error()
	b, err := json.Marshal(a)
	if err != nil { // Extra was read from JSON; it can be written as such.
		panic(err)
	}
	return b
}

// put sets m[k], making m where it is nil.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}
