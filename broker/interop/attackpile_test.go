package interop

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// pileAttacks are those by which clients make the broker keep more and more.
func pileAttacks() []attack {
	return []attack{
		{number: 26, name: "QoS 2 ids held open", wants: []string{served}, run: holdIDs},
		{number: 27, name: "60 000 sessions that last, each with a queue", wants: []string{served, "0x97"}, run: pileSessions},
		{number: 31, name: "1 000 clients with wills die at once", wants: []string{served}, run: dieTogether},
		{number: 33, name: "2 000 delayed wills", wants: []string{served, "0x97"}, run: pileWills},
		{number: 34, name: "retained messages on ever new topics", wants: []string{"PUBACK 0x97"}, run: pileRetained},
		{number: 35, name: "retained messages deleted, there or not", wants: []string{served}, run: deleteRetained},
	}
}

// holdIDs has sessions that last, each with as many packet ids as it may hold.
func holdIDs(a *arena) {
	a.crowd(50, func(a *arena, _ int) {
		c := a.connect(a, login{version: v5, id: rand.Text(), keep: true})
		a.blow(c, open2(v5, 1024))
	})
	elapse(siege)
}

// forever is the expiry of a session that has none.
var forever = number[uint32](sessionExpiry, 0xFFFFFFFF)

// pileSessions begins sessions for ever, all with a subscription to the same, until
// there are many more than may be, and publishes to them.
func pileSessions(a *arena) {
	const many, at = 60_000, 16
	subscribe := packet{cSUBSCRIBE, 2, append(appendString([]byte{0, 1, 0}, "queue"), 1)}.bytes()
	a.crowd(at, func(a *arena, i int) {
		for n, refused := 0, 0; n < many/at && refused < 50; n++ { // It is not getting better.
			c := a.dial(a)
			c.v = v5
			l := login{version: v5, id: fmt.Sprint(i, " of ", n), keep: true, props: properties{forever}}
			if a.blow(c, append(l.packet().bytes(), subscribe...)) == "0x97" {
				refused++
			}
		}
	})
	a.flood(message{topic: "queue", qos: 1, payload: strings.Repeat("x", 1000)}, 10)
}

// dieTogether cuts 1 000 connections, whose wills somebody waits for who watches all.
func dieTogether(a *arena) {
	many := 1000
	if race {
		many /= 2 // The detector keeps a shadow of each stack: that is not the program's memory.
	}
	watcher := a.attacker(v5)
	watcher.subscribe("dead/#", 1)
	dead := make([]*client, many)
	a.crowd(20, func(a *arena, i int) {
		for ; i < many; i += 20 {
			will := message{topic: fmt.Sprint("dead/", i), qos: 1, payload: strings.Repeat("x", 1000)}
			dead[i] = a.connect(a, login{version: v5, id: fmt.Sprint("mortal ", i), will: &will})
		}
	})
	began := time.Now()
	for _, c := range dead {
		c.drop()
	}
	for range dead {
		watcher.receive()
		a.note(served, time.Since(began))
	}
}

// pileWills leaves sessions behind whose wills are to be sent in years.
func pileWills(a *arena) {
	a.crowd(20, func(a *arena, _ int) {
		for range 100 {
			will := message{topic: "will", qos: 1, payload: strings.Repeat("x", 10_000), props: properties{number[uint32](willDelay, 1<<31)}}
			c := a.dial(a)
			c.v = v5
			a.blow(c, login{version: v5, id: rand.Text(), keep: true, will: &will, props: properties{forever}}.packet().bytes())
		}
	})
}

// pileRetained publishes retained messages on ever new topics: short ones, ones of
// many levels, and with much in them, until they are refused.
func pileRetained(a *arena) {
	for _, m := range []message{
		{topic: "retained/%d", payload: "x"},
		{topic: strings.Repeat("%[1]d/", 31), payload: "x"},
		{topic: "large/%d", payload: strings.Repeat("x", 60_000)},
	} {
		c := a.attacker(v5)
		m.qos, m.retain = 1, true
		for i, refused := 0, false; !refused && i < 40_000; i += 100 {
			for k := range 100 {
				next := m
				next.topic = fmt.Sprintf(m.topic, i+k)
				c.post(next)
			}
			for range 100 {
				if a.refusedBy(c) {
					refused = true
				}
			}
		}
		c.drop()
	}
}

// refusedBy reads an acknowledgement, and notes it if it refuses.
func (a *arena) refusedBy(c *client) bool {
	r := refusalIn(c.v, c.control())
	if r != "" {
		a.note(r, 0)
	}
	return r != ""
}

// deleteRetained retains and deletes, and deletes what is not there.
func deleteRetained(a *arena) {
	a.crowd(4, func(a *arena, i int) {
		c := a.attacker(v5)
		for n := range 5000 {
			topic := fmt.Sprint("deleted/", i, "/", n, strings.Repeat("/long", 20))
			if n%2 == 0 {
				c.post(message{topic: topic, retain: true, payload: "x"})
			}
			c.post(message{topic: topic, retain: true})
		}
		a.blow(c, nil)
	})
}
