package broker

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"edge/broker/access"
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

// denials remembers the latest denials, each with a count.
type denials struct {
	mu   sync.Mutex
	seen map[denied]*Denial
}

type denied struct {
	id     identity
	action access.Action
	topic  string
}

// maxDenials bounds what is remembered: of more, the oldest is forgotten.
const maxDenials = 256

func (d *denials) note(id identity, a access.Action, topic string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := denied{id, a, topic}
	x := d.seen[key]
	if x == nil {
		d.makeRoom()
		x = &Denial{Owner: id.owner, Client: id.client, Action: a.String(), Topic: topic}
		d.seen[key] = x
	}
	x.Count++
	x.Last = time.Now()
}

func (d *denials) makeRoom() {
	if d.seen == nil {
		d.seen = make(map[denied]*Denial)
	}
	if len(d.seen) < maxDenials {
		return
	}
	var oldest denied
	for key, x := range d.seen {
		if o := d.seen[oldest]; o == nil || x.Last.Before(o.Last) {
			oldest = key
		}
	}
	delete(d.seen, oldest)
}

// Denials returns what was denied lately, the latest first.
func (b *Broker) Denials() []Denial {
	d := &b.guard.denials
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Denial, 0, len(d.seen))
	for _, x := range d.seen {
		all = append(all, *x)
	}
	slices.SortFunc(all, func(a, b Denial) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Topic, b.Topic))
	})
	return all
}
