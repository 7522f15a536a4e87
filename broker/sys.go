package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"edge/bridge"
	"edge/broker/delivery"
)

// sysPrefix begins the topics on which the broker tells of itself. Names and
// payloads are those of mosquitto, so that what reads them there reads them here;
// dropped/…, denied/…, memory/…, connections/… and clients/dropped are ours.
const sysPrefix = "$SYS/broker/"

// sysCounts are the topics whose payload is a number.
var sysCounts = []struct {
	name  string
	value func(*Stats) uint64
}{
	{"clients/total", func(s *Stats) uint64 { return uint64(s.Held.Sessions) }},
	{"clients/connected", func(s *Stats) uint64 { return uint64(s.Held.Online) }},
	{"clients/active", func(s *Stats) uint64 { return uint64(s.Held.Online) }},
	{"clients/disconnected", func(s *Stats) uint64 { return uint64(s.Held.Sessions - s.Held.Online) }},
	{"clients/inactive", func(s *Stats) uint64 { return uint64(s.Held.Sessions - s.Held.Online) }},
	{"clients/maximum", func(s *Stats) uint64 { return uint64(s.Traffic.Maximum) }},
	{"clients/expired", func(s *Stats) uint64 { return s.Held.Expired }},
	{"messages/received", func(s *Stats) uint64 { return s.Traffic.Received.Packets }},
	{"messages/sent", func(s *Stats) uint64 { return s.Traffic.Sent.Packets }},
	{"messages/inflight", func(s *Stats) uint64 { return uint64(s.Held.Inflight) }},
	{"messages/stored", storedMessages},
	{"store/messages/count", storedMessages},
	{"store/messages/bytes", func(s *Stats) uint64 { _, n := s.Stored(); return uint64(n) }},
	{"bytes/received", func(s *Stats) uint64 { return s.Traffic.Received.Bytes }},
	{"bytes/sent", func(s *Stats) uint64 { return s.Traffic.Sent.Bytes }},
	{"publish/messages/received", func(s *Stats) uint64 { return s.Traffic.Received.Published() }},
	{"publish/messages/sent", func(s *Stats) uint64 { return s.Traffic.Sent.Published() }},
	{"publish/messages/dropped", (*Stats).Lost},
	{"publish/bytes/received", func(s *Stats) uint64 { return s.Traffic.Received.Payload }},
	{"publish/bytes/sent", func(s *Stats) uint64 { return s.Traffic.Sent.Payload }},
	{"retained messages/count", func(s *Stats) uint64 { return uint64(s.Held.Retained) }},
	{"subscriptions/count", func(s *Stats) uint64 { return uint64(s.Held.Subscriptions) }},
	{"shared_subscriptions/count", func(s *Stats) uint64 { return uint64(s.Held.Shared) }},

	{"denied/publish", func(s *Stats) uint64 { return s.Denied.Publish }},
	{"denied/subscribe", func(s *Stats) uint64 { return s.Denied.Subscribe }},
	{"denied/receive", func(s *Stats) uint64 { return s.Denied.Receive }},

	{"memory/budget", func(s *Stats) uint64 { return s.Memory.Budget }},
	{"memory/used", func(s *Stats) uint64 { return s.Memory.Used }},
	{"memory/tight", func(s *Stats) uint64 { return s.Memory.Tight }},
	{"memory/refused/messages", func(s *Stats) uint64 { return s.Pressed.Messages }},
	{"memory/refused/sessions", func(s *Stats) uint64 { return s.Pressed.Sessions }},
	{"memory/refused/subscriptions", func(s *Stats) uint64 { return s.Pressed.Subscriptions }},
	{"memory/refused/connections", func(s *Stats) uint64 { return s.Turned.Memory }},

	{"connections/refused/all", func(s *Stats) uint64 { return s.Turned.Connections }},
	{"connections/refused/listener", func(s *Stats) uint64 { return s.Turned.Listener }},
	{"connections/refused/address", func(s *Stats) uint64 { return s.Turned.Address }},
	{"connections/refused/rate", func(s *Stats) uint64 { return s.Turned.Rate }},
	{"connections/refused/user", func(s *Stats) uint64 { return s.Turned.User }},

	{"dropped/slow", func(s *Stats) uint64 { return s.Dropped.Slow }},
	{"dropped/expired", func(s *Stats) uint64 { return s.Dropped.Expired }},
	{"dropped/full", func(s *Stats) uint64 { return s.Dropped.Full }},
	{"dropped/large", func(s *Stats) uint64 { return s.Dropped.Large }},
	{"dropped/orphaned", func(s *Stats) uint64 { return s.Dropped.Orphaned }},
	{"dropped/damaged", func(s *Stats) uint64 { return s.Dropped.Damaged }},
	{"dropped/forbidden", func(s *Stats) uint64 { return s.Dropped.Forbidden }},
	{"dropped/refused", func(s *Stats) uint64 { return s.Traffic.Received.Refused }},
}

func storedMessages(s *Stats) uint64 { n, _ := s.Stored(); return uint64(n) }

// sysLoads are the counts whose averages are at load/NAME/1min and so on.
var sysLoads = []struct {
	name  string
	total func(*Stats) uint64
}{
	{"messages/received", func(s *Stats) uint64 { return s.Traffic.Received.Packets }},
	{"messages/sent", func(s *Stats) uint64 { return s.Traffic.Sent.Packets }},
	{"publish/received", func(s *Stats) uint64 { return s.Traffic.Received.Published() }},
	{"publish/sent", func(s *Stats) uint64 { return s.Traffic.Sent.Published() }},
	{"publish/dropped", (*Stats).Lost},
	{"bytes/received", func(s *Stats) uint64 { return s.Traffic.Received.Bytes }},
	{"bytes/sent", func(s *Stats) uint64 { return s.Traffic.Sent.Bytes }},
	{"sockets", func(s *Stats) uint64 { return s.Traffic.Sockets }},
	{"connections", func(s *Stats) uint64 { return s.Traffic.Connects }},
}

// sys publishes what the broker counts. All of it but changed belongs to one
// goroutine.
type sys struct {
	b       *Broker
	changed chan time.Duration // the new interval; has room for one

	version   string
	every     time.Duration // 0 is off
	updated   time.Time
	loads     []load
	heap, top uint64
	published map[string]string // payloads by topic
	failing   bool
	quiet     time.Duration // since clients/dropped was published
}

func newSys(b *Broker, cfg Config) *sys {
	return &sys{
		b: b, changed: make(chan time.Duration, 1), version: cfg.Version, every: cfg.SysInterval, updated: b.opened,
		loads: make([]load, len(sysLoads)), published: make(map[string]string),
	}
}

// reload sets the interval. It is for one goroutine at a time.
func (s *sys) reload(every time.Duration) {
	select {
	case <-s.changed:
	default:
	}
	s.changed <- every
}

// run publishes at each interval until the broker is closed.
func (s *sys) run() {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	s.set(ticker)
	for {
		select {
		case <-ticker.C:
			s.tick()
		case s.every = <-s.changed:
			s.set(ticker)
			s.tick()
		case <-s.b.done:
			return
		}
	}
}

func (s *sys) set(ticker *time.Ticker) {
	if s.every > 0 {
		ticker.Reset(s.every)
	} else {
		ticker.Stop()
	}
}

// tick publishes what has changed, and who has lost messages. What was published
// does not stay when there are no more updates.
func (s *sys) tick() {
	if s.every == 0 {
		s.forget()
		return
	}
	err := s.publish()
	if errors.Is(err, errClosed) {
		return
	}
	if err != nil && !s.failing {
		s.b.log.Warn("counts of the broker are not published; trying again", "err", err, "in", s.every)
	}
	s.failing = err != nil
	s.tell()
}

func (s *sys) forget() {
	for topic := range s.published {
		_ = s.b.self.Publish(context.Background(), bridge.Message{Topic: topic, Retain: true}) // It needs no room.
	}
	clear(s.published)
}

func (s *sys) publish() error {
	st := s.b.Stats()
	s.update(&st)
	return s.each(&st, s.put)
}

// put publishes what has changed of a topic.
func (s *sys) put(name, payload string) error {
	topic := sysPrefix + name
	if s.published[topic] == payload {
		return nil
	}
	m := bridge.Message{Topic: topic, Payload: []byte(payload), Retain: true}
	if err := s.b.self.Publish(context.Background(), m); err != nil {
		return err
	}
	s.published[topic] = payload
	return nil
}

// update brings the averages up to date.
func (s *sys) update(st *Stats) {
	now := time.Now()
	for i := range s.loads {
		s.loads[i].update(sysLoads[i].total(st), now.Sub(s.updated))
	}
	s.updated = now
	s.heap = heapBytes()
	s.top = max(s.top, s.heap)
}

// each calls f for all topics, until it returns an error.
func (s *sys) each(st *Stats, f func(name, payload string) error) error {
	for _, v := range []struct{ name, payload string }{
		{"version", "edge version " + s.version},
		{"uptime", fmt.Sprintf("%d seconds", int64(st.Uptime.Seconds()))},
		{"memory/state", st.Memory.State.String()},
		{"heap/current", strconv.FormatUint(s.heap, 10)},
		{"heap/maximum", strconv.FormatUint(s.top, 10)},
	} {
		if err := f(v.name, v.payload); err != nil {
			return err
		}
	}
	for _, c := range sysCounts {
		if err := f(c.name, strconv.FormatUint(c.value(st), 10)); err != nil {
			return err
		}
	}
	if err := eachJournal(st.Journal, f); err != nil {
		return err
	}
	for i := range s.loads {
		for k, average := range s.loads[i].averages {
			name := "load/" + sysLoads[i].name + "/" + spans[k].name
			if err := f(name, strconv.FormatFloat(average, 'f', 2, 64)); err != nil {
				return err
			}
		}
	}
	return nil
}

// lossPause is how long a client whose messages are dropped is not named again, and
// how old denied/recent may be.
const lossPause = 10 * time.Second

// A loss is the payload of clients/dropped.
type loss struct {
	Client string `json:"client"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// tell names the clients that lost messages since it last did. It is an event:
// retained, it would grow with the number of clients. It also says what was denied.
func (s *sys) tell() {
	if s.quiet += s.every; s.quiet < lossPause {
		return
	}
	s.quiet = 0
	if all := s.b.Denials(); len(all) > 0 {
		_ = s.put("denied/recent", recent(all)) // It fails only when the broker is closed.
	}
	for _, l := range s.b.engine.Losses() {
		for _, r := range reasons(l) {
			payload, _ := json.Marshal(r) // Strings and a number.
			m := bridge.Message{Topic: sysPrefix + "clients/dropped", Payload: payload}
			_ = s.b.self.Publish(context.Background(), m) // It fails only when the broker is closed.
		}
	}
}

// reasons returns what was lost by reason.
func reasons(l delivery.Loss) []loss {
	var out []loss
	for _, r := range []struct {
		reason string
		count  uint64
	}{{"slow", l.Slow}, {"expired", l.Expired}, {"full", l.Full}, {"large", l.Large}, {"orphaned", l.Orphaned}, {"damaged", l.Damaged}, {"forbidden", l.Forbidden}} {
		if r.count > 0 {
			out = append(out, loss{l.Client, r.reason, r.count})
		}
	}
	return out
}
