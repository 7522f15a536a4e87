package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edge/broker/login"
)

func TestVisitors(t *testing.T) {
	v := newVisitors(Limits{ConnectionsPerAddress: 30, ConnectionRate: 2})
	a, b := login.Origin(netip.MustParseAddr("192.0.2.1")), login.Origin(netip.MustParseAddr("192.0.2.2"))
	now := time.Unix(1e9, 0)
	enter := func(from netip.Prefix, want error) {
		t.Helper()
		if err := v.enter(from, now); !errors.Is(err, want) {
			t.Fatalf("a connection from %v at %v: %v, want %v", from, now, err, want)
		}
	}
	for range 2 * rateBurst {
		enter(a, nil)
	}
	enter(a, errAddressRate)
	enter(b, nil)
	now = now.Add(500 * time.Millisecond)
	enter(a, nil)
	enter(a, errAddressRate)
	now = now.Add(time.Hour)
	for range 9 {
		enter(a, nil)
	}
	enter(a, errAddressFull)
	v.leave(a)
	enter(a, nil)
}

// TestVisitorsAreBounded comes from many addresses that do not come again.
func TestVisitorsAreBounded(t *testing.T) {
	v := newVisitors(Limits{ConnectionsPerAddress: 2, ConnectionRate: 1})
	now := time.Unix(1e9, 0)
	address := func(i int) netip.Prefix {
		return login.Origin(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i)))))
	}
	stays := address(1)
	if err := v.enter(stays, now); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxVisitors {
		from := address(i + 100)
		if err := v.enter(from, now); err != nil {
			t.Fatal(err)
		}
		v.leave(from)
	}
	if len(v.all) > maxVisitors+2 || v.all[stays] == nil || v.all[stays].conns != 1 {
		t.Errorf("%d addresses are remembered, want %d at most; the one with a connection is %+v", len(v.all), maxVisitors, v.all[stays])
	}
	now = now.Add(time.Minute)
	if err := v.enter(address(7), now); err != nil || len(v.all) > 10 {
		t.Errorf("a minute later, %d addresses are remembered, %v", len(v.all), err)
	}
}

// TestVisitorsModel compares with a bucket that fills with the time.
func TestVisitorsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := Limits{ConnectionsPerAddress: rapid.IntRange(1, 50).Draw(rt, "most"), ConnectionRate: rapid.SampledFrom([]int{1, 2, 4, 5}).Draw(rt, "rate")}
		v := newVisitors(l)
		start := time.Unix(1e9, 0)
		now, from := start, login.Origin(netip.MustParseAddr("2001:db8::1"))
		gap := time.Second / time.Duration(l.ConnectionRate)
		size := rateBurst * time.Second // of the bucket, as time
		level, conns := size, 0
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				d := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms")) * time.Millisecond
				now, level = now.Add(d), min(size, level+d)
			case 1:
				if conns > 0 {
					v.leave(from)
					conns--
				}
			default:
				var want error
				switch {
				case conns >= l.ConnectionsPerAddress:
					want = errAddressFull
				case level < gap:
					want = errAddressRate
				default:
					level, conns = level-gap, conns+1
				}
				if err := v.enter(from, now); !errors.Is(err, want) {
					rt.Fatalf("after %v with %d connections: %v, want %v", now.Sub(start), conns, err, want)
				}
			}
		}
		idle := 0
		for _, x := range v.all {
			if x.conns == 0 {
				idle++
			}
		}
		if idle != v.idle {
			rt.Fatalf("%d addresses without connections, counted %d", idle, v.idle)
		}
	})
}

// proxiedFrom connects as a proxy would for a client with an address.
func proxiedFrom(t *testing.T, b *Broker, client string) net.Conn {
	t.Helper()
	c := dialURL(t, b.URLs()[0])
	server := "203.0.113.5:1883"
	if client[0] == '[' {
		server = "[2001:db8::5]:1883"
	}
	if _, err := c.Write(proxyBytes(proxied{tcp(client), tcp(server)})); err != nil {
		t.Fatal(err)
	}
	return c
}

// welcomed has a client in.
func welcomed(t *testing.T, c net.Conn, id, user string) {
	t.Helper()
	if r := reply(t, c, signIn(id, user), 3); r != 0 {
		t.Fatalf("CONNACK for %s has %#x", id, r)
	}
}

func TestConnectionsOfOneAddress(t *testing.T) {
	b := startListeners(t, func(l *Limits) { l.ConnectionsPerAddress = 2 }, Listener{URL: "tcp://127.0.0.1:0", Proxy: true})
	var first net.Conn
	for i := range 2 {
		c := proxiedFrom(t, b, fmt.Sprintf("[2001:db8::%d]:5", i+1))
		welcomed(t, c, fmt.Sprint("c", i), "")
		first = c
	}
	ended(t, proxiedFrom(t, b, "[2001:db8::3]:5"))
	welcomed(t, proxiedFrom(t, b, "[2001:db8:0:1::3]:5"), "other", "")
	if got := b.Stats().Turned; got != (TurnedAway{Address: 1}) {
		t.Errorf("turned away: %+v, want one for its address", got)
	}
	first.Close()
	until(t, func() bool { return b.connections() == 2 })
	welcomed(t, proxiedFrom(t, b, "[2001:db8::3]:5"), "again", "")
}

// TestRateOfOneAddress knocks faster than allowed; others and this machine are not
// held up.
func TestRateOfOneAddress(t *testing.T) {
	b := startListeners(t, func(l *Limits) { l.ConnectionRate = 1 }, Listener{URL: "tcp://127.0.0.1:0", Proxy: true})
	for i := range 2 * rateBurst {
		c := proxiedFrom(t, b, "192.0.2.1:5")
		_, _ = c.Write([]byte("\xc0\x00"))
		ended(t, c)
		c.Close()
		here := proxiedFrom(t, b, "127.0.0.1:5")
		welcomed(t, here, fmt.Sprint("c", i), "")
	}
	if got := b.Stats().Turned; got.Rate < rateBurst/2 || got != (TurnedAway{Rate: got.Rate}) {
		t.Errorf("turned away: %+v, want about %d for the rate of an address", got, rateBurst)
	}
	welcomed(t, proxiedFrom(t, b, "192.0.2.2:5"), "other", "")
}

func TestConnectionsOfOneListener(t *testing.T) {
	b := startListeners(t, unchanged, Listener{URL: "tcp://127.0.0.1:0", Connections: 1}, Listener{URL: "tcp://127.0.0.1:0"})
	c := dialURL(t, b.URLs()[0])
	welcomed(t, c, "one", "")
	ended(t, dialURL(t, b.URLs()[0]))
	welcomed(t, dialURL(t, b.URLs()[1]), "two", "")
	if got := b.Stats().Turned; got != (TurnedAway{Listener: 1}) {
		t.Errorf("turned away: %+v, want one by the listener", got)
	}
	c.Close()
	until(t, func() bool { return b.connections() == 1 })
	welcomed(t, dialURL(t, b.URLs()[0]), "three", "")
}

// TestConnectionsOfOneUser: one more than may be is told so, but a client that comes
// again takes the place of its old connection.
func TestConnectionsOfOneUser(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Logins = &users{roles: map[string][]string{"anna": {"admin"}, "otto": {"admin"}}}
	cfg.Limits.ConnectionsPerUser = 1
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	c := dialURL(t, b.URLs()[0])
	welcomed(t, c, "a", "anna")
	if got := code(t, b.URLs()[0], signIn("b", "anna"), 3); got != 0x97 {
		t.Errorf("a second client of anna: %#x, want 0x97", got)
	}
	again := dialURL(t, b.URLs()[0])
	welcomed(t, again, "a", "anna")
	welcomed(t, dialURL(t, b.URLs()[0]), "o", "otto")
	if got := b.Stats().Turned; got != (TurnedAway{User: 1}) {
		t.Errorf("turned away: %+v, want one for its user", got)
	}
	until(t, func() bool { return b.connections() == 2 })
	again.Close()
	until(t, func() bool { return b.connections() == 1 })
	welcomed(t, dialURL(t, b.URLs()[0]), "b", "anna")
}
