package interop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shapeAttacks are those by topics, filters and properties of an odd shape.
func shapeAttacks() []attack {
	return []attack{
		{number: 14, name: "a topic of 65 535 slashes", wants: []string{"0x90", closed}, run: slashes},
		{number: 15, name: "a filter of +/+/…, 65 535 bytes", wants: []string{"SUBACK 0x80", "SUBACK 0x8f", served}, run: plusses},
		{number: 16, name: "deep filters of + and deep topics", wants: []string{served}, run: deep},
		{number: 17, name: "$share: no group, a wildcard in it, one in another, $SHARE", wants: []string{"0x81", "0x82", "SUBACK 0x80", closed, served}, run: oddShares},
		{number: 18, name: "100 clients subscribe to # and +/#, and publish", wants: []string{served}, run: fanOut},
		{number: 19, name: "100 000 filters by one client", wants: []string{"SUBACK 0x80", "SUBACK 0x97", "0x97", closed}, run: manyFilters},
		{number: 20, name: "100 000 user properties", wants: []string{"0x95", "0x97", closed}, run: manyProperties},
	}
}

const mostLevels = 65_535

// slashes publishes to a topic with as many levels as there can be, and has a will
// for one.
func slashes(a *arena) {
	topic := strings.Repeat("/", mostLevels)
	for _, v := range versions {
		for qos := range byte(3) {
			a.strike(v, message{topic: topic, qos: qos, id: 1, payload: "x"}.packet(v).bytes())
		}
		a.strikeFirst(v, login{version: v, id: "w", will: &message{topic: topic[:1<<12]}}.packet().bytes())
	}
}

// plusses subscribes to as many levels as there can be, and takes that back.
func plusses(a *arena) {
	filter := strings.Repeat("+/", mostLevels/2) + "#"
	for _, v := range versions {
		a.strike(v, subscribing(v, filter).bytes())
		a.strike(v, unsubscribing(v, filter).bytes())
	}
}

// deep has filters with + at some of their levels, and topics that match all of
// them: whoever looks for them has to look at each level of each filter.
func deep(a *arena) {
	const filters, subscribers, publishers, levels = 1000, 4, 4, 32
	a.crowd(subscribers, func(a *arena, i int) {
		source := rand.New(rand.NewPCG(uint64(i), 0))
		c := a.attacker(v5)
		for range filters / 100 {
			var some []string
			for range 100 {
				some = append(some, anyOf(source, levels))
			}
			c.send(subscribing(v5, some...))
			c.answer(cSUBACK)
		}
	})
	a.crowd(publishers, func(a *arena, i int) {
		c := a.attacker(v5)
		began := time.Now()
		for n := 0; time.Since(began) < siege; n++ {
			c.publish(message{topic: strings.Repeat("a/", levels-1) + fmt.Sprint(i, n), qos: 1})
		}
		a.blow(c, nil)
	})
}

// anyOf returns a filter that matches a/a/a/…, with + for some levels.
func anyOf(source *rand.Rand, levels int) string {
	var b strings.Builder
	for range levels - 1 {
		b.WriteString([]string{"a/", "+/"}[source.IntN(2)])
	}
	return b.String() + "#"
}

// oddShares subscribes to filters of shared subscriptions that are none.
func oddShares(a *arena) {
	for _, filter := range []string{
		"$share", "$share/", "$share//", "$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/#/a", "$share/#", "$share/g+/a",
		"$share/g/$share/h/a", "$share/g/$share//a", "$SHARE/g/a", "$Share//a", "$SHARE/+/a", "$SHARE", "$SHARE/g", "$shared/g/a", "/$share/g/a",
	} {
		for _, v := range versions {
			a.strike(v, subscribing(v, filter).bytes())
			a.strike(v, unsubscribing(v, filter).bytes())
		}
	}
}

// fanOut has everybody receive what everybody publishes.
func fanOut(a *arena) {
	const clients, each = 100, 20
	all := make([]*client, clients)
	for i := range all {
		all[i] = a.attacker(v5)
		all[i].subscribe("#", 1)
		all[i].subscribe("+/#", 1)
	}
	a.crowd(clients, func(a *arena, i int) {
		c := all[i].in(a)
		for range each {
			c.post(message{topic: fmt.Sprint("fan/", i), qos: 1, payload: strings.Repeat("x", 100)})
		}
		a.blow(c, nil)
	})
}

// manyFilters subscribes a hundred times as often as a client may: packet by
// packet, and by one that is as large as can be.
func manyFilters(a *arena) {
	var filters []string
	for i := range 100_000 {
		filters = append(filters, strconv.Itoa(i))
	}
	for _, v := range versions {
		a.strike(v, subscribing(v, filters...).bytes())
		c := a.attacker(v)
		for some := range slices.Chunk(filters, 1000) {
			c.send(subscribing(v, some...))
		}
		a.blow(c, nil)
		a.strike(v, unsubscribing(v, filters...).bytes())
	}
}

// manyProperties has them in each packet that can carry them.
func manyProperties(a *arena) {
	var many properties
	for range 100_000 {
		many = append(many, user("n", "v"))
	}
	for _, h := range hosts() {
		a.hit(v5, h.with(many).bytes())
		a.hit(v5, h.with(many[:100]).bytes())
	}
}
