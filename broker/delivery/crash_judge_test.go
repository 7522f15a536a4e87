package delivery

import (
	"slices"
	"testing/synctest"
	"time"
)

// restart begins with the disk as it is, and compares what the engine found with
// what there was.
func (w *world) restart() {
	w.powerUp()
	found := w.found()
	i := slices.IndexFunc(w.history, func(s snapshot) bool { return s.like(&found) })
	if i < 0 {
		w.failf("sessions are\n%v\nwere\n%v", found, w.history)
	}
	for c := range found {
		if !found[c].there || w.history[i].sessions[c].unsure {
			w.clients[c].clean = true // So CONNACK says, or it must end what has come back.
		}
	}
	w.history, w.sessions = []snapshot{{0, found}}, found
	now := w.retained()
	for about, history := range w.kept {
		i := len(history) - 1
		for i >= 0 && !history[i].is(now[about]) {
			i--
		}
		if i < 0 {
			w.failf("on %s %d is retained, were %v", subjects[about].topic, now[about], history)
		}
		w.kept[about] = []value{{0, history[i].post, history[i].empty}}
	}
	w.tracef("a new engine begins")
	time.Sleep(time.Nanosecond) // Wills are sent.
}

// expectWills says who must get the wills of those whose connection the power cut
// has ended.
func (w *world) expectWills(mute map[string]bool) {
	for i := range w.clients {
		c := &w.clients[i]
		if c.will >= w.first && !mute[name(i)] && w.sessions[i].there {
			w.post(c.will).due = w.subscribed(wills)
		}
	}
	w.forgetWills()
}

func (w *world) forgetWills() {
	for i := range w.clients {
		w.clients[i].will = nothing
	}
}

// found returns the sessions of the engine.
func (w *world) found() (all sessions) {
	for c := range all {
		s := w.e.session(name(c))
		if s == nil {
			continue
		}
		all[c].there = true
		for _, sub := range s.Subscriptions() {
			all[c].subs[slices.Index(filters[:], sub.Filter)] = 1 + sub.QoS
		}
	}
	return all
}

const nothing = -1

// is reports whether v is message n, or nothing.
func (v value) is(n int) bool { return v.empty && n == nothing || !v.empty && n == v.post }

// retained returns the numbers of the messages that are retained.
func (w *world) retained() (all [len(subjects)]int) {
	for i := range all {
		all[i] = nothing
	}
	probe := connect(w.t, w.e, "probe", Opening{}).subscribe("k/+", 0)
	for _, o := range probe.outs() {
		n, about := w.number(o.Message)
		all[about] = n
	}
	probe.left(Leaving{})
	return all
}

// settle has all clients come, publish some more and finish everything. The disk
// must work.
func (w *world) settle(more int) {
	quiet := 0
	for round := 0; quiet < 2; round++ {
		moved := false
		for i := range w.clients {
			moved = w.turn(&w.clients[i], round < more) || moved
		}
		w.j.Hurry()
		synctest.Wait()
		switch quiet++; {
		case moved:
			quiet = 0
		case quiet == 2 && !w.resting():
			w.hangUp()
			quiet = 0
		}
		if round > 2000 {
			w.failf("the world does not come to rest: %+v", w.clients)
		}
	}
}

// hangUp has the clients connect anew who wait for something: where the disk was
// full, an answer may never come.
func (w *world) hangUp() {
	for i := range w.clients {
		if c := &w.clients[i]; len(c.flights)+len(c.held) > 0 {
			c.line = nil
		}
	}
}

// turn has c go on as far as it can.
func (w *world) turn(c *client, more bool) (moved bool) {
	if c.line == nil {
		w.connect(c)
		moved = true
	}
	if more {
		w.publish(c)
	}
	moved = w.serve(c, 100) || moved
	return w.read(c, 1000) || moved
}

// resting reports whether nobody waits for anything.
func (w *world) resting() bool {
	for i := range w.clients {
		c, l := &w.clients[i], w.lines[i]
		if len(c.flights)+len(c.held) > 0 || l == nil || len(l.up)+len(l.down)+len(l.held) > 0 || l.then != nil || !c.ready() {
			return false
		}
	}
	return true
}

// judge looks for what should have come, and compares the broker with what the
// clients know. The world has settled.
func (w *world) judge() {
	for i := range w.posts {
		if x := &w.posts[i]; x.due&^x.seen != 0 {
			w.failf("message %d on %s does not come to %05b: %+v", w.first+i, subjects[x.about].topic, x.due&^x.seen, x)
		}
	}
	if found := w.found(); !w.sessions.like(&found) {
		w.failf("sessions are\n%v\nshould be\n%v", found, w.sessions)
	}
	for about, n := range w.retained() {
		if last := w.kept[about][len(w.kept[about])-1]; subjects[about].retain && !last.is(n) {
			w.failf("on %s %d is retained, should be %+v", subjects[about].topic, n, last)
		}
	}
	if d := w.e.Dropped(); d.Total() > 0 {
		w.failf("messages were dropped: %+v", d)
	}
}

// forget begins a new era: nobody asks for messages that have come.
func (w *world) forget() {
	w.first += len(w.posts)
	w.posts = nil
	safe := w.j.Committed()
	for i := range w.kept {
		w.kept[i] = since(w.kept[i], func(v *value) bool { return v.ticket <= safe })
	}
}

// burst has somebody publish more than the broker keeps in memory for somebody who
// is not there.
func (w *world) burst() {
	from, to := &w.clients[0], &w.clients[1+w.rand.IntN(clients-1)]
	w.tracef("a burst for %d", to.id)
	for _, c := range []*client{from, to} {
		if c.line == nil {
			w.connect(c)
		}
	}
	for range 20 {
		w.round(from)
		w.round(to)
	}
	if to.ready() {
		to.line.up = append(to.line.up, packet{kind: subscribe, filter: 0, qos: 2})
		w.round(to)
		to.line = nil
	}
	for n := 0; n < 3000 && len(w.posts) < 1500; n++ {
		if from.ready() && len(from.flights) < flightWindow {
			w.publishAbout(from, w.rand.IntN(2))
		}
		w.round(from)
	}
}

// round has the broker, c and the disk do something.
func (w *world) round(c *client) {
	w.serve(c, 10)
	w.work(10)
	w.serve(c, 10)
	w.read(c, 10)
}
