package broker

import (
	"container/list"
	"encoding/json"
	"sync"
	"time"

	"edge/broker/access"
	"edge/broker/delivery"
)

// A Denial is something that somebody tried and may not do.
type Denial struct {
	Owner  string    `json:"user"`
	Client string    `json:"client"`
	Action string    `json:"action"`
	Topic  string    `json:"topic"`
	Count  int       `json:"count"`
	Last   time.Time `json:"last"`
}

// Denied counts what was denied, by action.
type Denied struct {
	Publish   uint64 // messages, and wills
	Subscribe uint64 // filters

	// Receive counts messages that were kept back from a client whose subscription
	// they match. Those that had waited for it already are in Dropped.Forbidden.
	Receive uint64
}

// denials remembers the latest denials, each with a count. What a client may not
// receive is counted only: it has not asked for that.
type denials struct {
	mu     sync.Mutex
	seen   map[denied]*list.Element
	recent list.List // of *noted, the latest first
	total  Denied
}

type denied struct {
	id     identity
	action access.Action
	topic  string
}

type noted struct {
	key denied
	Denial
}

// maxDenials bounds what is remembered: of more, the oldest is forgotten.
const maxDenials = 256

func (d *denials) note(id identity, a access.Action, topic string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a == access.Publish {
		d.total.Publish++
	} else {
		d.total.Subscribe++
	}
	key := denied{id, a, topic}
	e := d.seen[key]
	if e == nil {
		d.makeRoom()
		e = d.recent.PushFront(&noted{key, Denial{Owner: id.owner, Client: id.client, Action: a.String(), Topic: topic}})
		d.seen[key] = e
	}
	d.recent.MoveToFront(e)
	x := e.Value.(*noted)
	x.Count++
	x.Last = time.Now()
}

func (d *denials) makeRoom() {
	if d.seen == nil {
		d.seen = make(map[denied]*list.Element)
	}
	if len(d.seen) < maxDenials {
		return
	}
	oldest := d.recent.Back()
	delete(d.seen, oldest.Value.(*noted).key)
	d.recent.Remove(oldest)
}

// counts returns how much was denied.
func (d *denials) counts(e *delivery.Engine) Denied {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.total
	n.Receive = e.Withheld()
	return n
}

// Denials returns what was denied lately, the latest first.
func (b *Broker) Denials() []Denial {
	d := &b.guard.denials
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Denial, 0, d.recent.Len())
	for e := d.recent.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*noted).Denial)
	}
	return all
}

// Bounds of what the broker publishes about denials.
const (
	recentDenials = 20
	recentBytes   = 8 << 10
)

// recent returns the latest of all as JSON, as many as have room.
func recent(all []Denial) string {
	b := []byte{'['}
	for i, d := range all[:min(len(all), recentDenials)] {
		one, _ := json.Marshal(d) // Strings, a number and a time.
		if len(b)+len(one) > recentBytes {
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, one...)
	}
	return string(append(b, ']'))
}
