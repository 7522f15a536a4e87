package interop

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// flowAttacks are those by packets that are all in order, but come too slowly, too
// often, or are never answered.
func flowAttacks() []attack {
	return []attack{
		{number: 21, name: "a byte now and then before CONNECT", wants: []string{closed}, run: slowConnect},
		{number: 22, name: "a byte now and then within a packet", wants: []string{"0x83", closed}, run: slowPacket},
		{number: 23, name: "keep-alive 0 and half a packet", wants: []string{"0x83", closed}, run: halfPacket},
		{number: 24, name: "a reader that never reads", wants: []string{served, "0x97", dropped}, run: neverRead},
		{number: 25, name: "more messages than the receive maximum", wants: []string{"0x93", closed}, run: beyondMaximum},
		{number: 28, name: "reconnect storm", wants: []string{served}, run: reconnect},
		{number: 29, name: "a fight for one client id", wants: []string{"0x8e", served}, run: fight},
	}
}

// slowConnect has clients who never finish their CONNECT.
func slowConnect(a *arena) {
	a.crowd(200, func(a *arena, i int) {
		a.drip(a.dial(a), login{id: fmt.Sprint("slow ", i)}.packet().bytes())
	})
}

// slowPacket has clients who never finish a PUBLISH.
func slowPacket(a *arena) {
	p := message{topic: "a", payload: strings.Repeat("x", 1000)}
	a.crowd(100, func(a *arena, i int) {
		v := versions[i%len(versions)]
		a.drip(a.attacker(v), p.packet(v).bytes())
	})
}

// halfPacket has clients without a keep-alive who fall silent within a PUBLISH.
func halfPacket(a *arena) {
	a.crowd(100, func(a *arena, i int) {
		v := versions[i%len(versions)]
		c := a.attacker(v)
		b := message{topic: "a", payload: strings.Repeat("x", 1000)}.packet(v).bytes()
		c.write(b[:500])
		a.watch(c)
	})
}

// drip sends a byte of b every half second until the broker has closed c.
func (a *arena) drip(c *client, b []byte) {
	stop := make(chan struct{})
	wait := beside(a, func(testing.TB) {
		for i := range b {
			_, _ = c.conn.Write(b[i : i+1])
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	a.watch(c)
	close(stop)
	wait()
}

// neverRead floods, at each QoS, subscribers who do not read: with few large messages,
// and with many small ones.
func neverRead(a *arena) {
	many := 50_000
	if race {
		many /= 5 // Each costs ten times as much.
	}
	for qos := range byte(3) {
		a.drown(4, message{qos: qos, payload: strings.Repeat("x", 60_000)}, 1000)
		a.drown(4, message{qos: qos, payload: "x"}, many)
	}
}

// drown publishes m so many times to n who do not read.
func (a *arena) drown(n int, m message, count int) {
	m.topic = "flood/" + rand.Text()
	var deaf []*client
	for range n {
		c := a.attacker(v5)
		receiveBuffer(a, c.conn, 64<<10)
		c.subscribe(m.topic, m.qos)
		deaf = append(deaf, c)
	}
	a.flood(m, count)
	for _, c := range deaf {
		a.blow(c, nil)
	}
}

// flood publishes m count times, with up to a hundred on their way.
func (a *arena) flood(m message, count int) {
	c, left := a.attacker(v5), 0
	for i := range count {
		m.id = uint16(i%60_000 + 1)
		c.post(m)
		if left++; m.qos > 0 && (left == 100 || i == count-1) {
			for ; left > 0; left-- {
				c.finish()
			}
		}
	}
	c.ping()
	c.drop()
}

// finish waits until the flow of a message has ended, whatever became of it.
func (c *client) finish() {
	for {
		p := c.control()
		a, _ := parseAnswer(c.v, p)
		if p.kind != cPUBREC || a.code >= 0x80 {
			return
		}
		c.ack(cPUBREL, a.id)
	}
}

// beyondMaximum publishes at QoS 2 and never releases a packet id.
func beyondMaximum(a *arena) {
	for _, v := range versions {
		c := a.attacker(v)
		a.blow(c, open2(v, 2000))
	}
}

// open2 is n messages of QoS 2.
func open2(v version, n int) (b []byte) {
	for i := range n {
		b = append(b, message{topic: "open", qos: 2, id: uint16(i + 1), payload: "x"}.packet(v).bytes()...)
	}
	return b
}

// reconnect connects and disconnects as fast as it goes.
func reconnect(a *arena) {
	end := time.Now().Add(2 * time.Second)
	a.crowd(8, func(a *arena, i int) {
		for time.Now().Before(end) {
			a.strikeFirst(v5, login{version: v5, id: fmt.Sprint("storm ", i)}.packet().bytes())
		}
	})
}

// fight has clients with one id, each of whom comes again when another has taken
// it.
func fight(a *arena) {
	end := time.Now().Add(2 * time.Second)
	a.crowd(8, func(a *arena, _ int) {
		for time.Now().Before(end) {
			c := a.connect(a, login{version: v5, id: "mine", keep: true})
			a.note(c.stay(time.Second), 0)
			c.drop()
		}
	})
}

// stay reads for so long, or until the connection ends, and returns its fate.
func (c *client) stay(d time.Duration) string {
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	for said := closed; ; {
		p, err := readPacket(c.r)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return served
		}
		if err != nil {
			return said
		}
		if r := refusalIn(c.v, p); r != "" {
			said = r
		}
	}
}
