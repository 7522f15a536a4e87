package interop

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// sysTopics are those of mosquitto 2.0.11 below $SYS/broker, with what their
// payloads look like.
func sysTopics() map[string]string {
	const number, average = `[0-9]+`, `[0-9]+\.[0-9][0-9]`
	topics := map[string]string{"version": `[a-z]+ version .+`, "uptime": `[0-9]+ seconds`}
	for _, name := range []string{
		"clients/total", "clients/inactive", "clients/disconnected", "clients/active", "clients/connected",
		"clients/expired", "clients/maximum", "messages/stored", "messages/received", "messages/sent",
		"store/messages/count", "store/messages/bytes", "subscriptions/count", "shared_subscriptions/count",
		"retained messages/count", "heap/current", "heap/maximum", "publish/messages/dropped",
		"publish/messages/received", "publish/messages/sent", "publish/bytes/received", "publish/bytes/sent",
		"bytes/received", "bytes/sent",
	} {
		topics[name] = number
	}
	for _, name := range []string{
		"messages/received", "messages/sent", "publish/dropped", "publish/received", "publish/sent",
		"bytes/received", "bytes/sent", "sockets", "connections",
	} {
		for _, span := range []string{"1min", "5min", "15min"} {
			topics["load/"+name+"/"+span] = average
		}
	}
	return topics
}

// TestMosquittoSys lets mosquitto_sub read all that tools for mosquitto look for,
// from either broker.
func TestMosquittoSys(t *testing.T) {
	t.Parallel()
	program(t, "mosquitto_sub")
	s := startWith(t, func(l *listeners) { l.config = "broker: {allow_anonymous: true, sys_interval: 1s}" })
	sub := s.subscribed(t, "%r %p", args(at(t, s.tcp), words("-t $SYS/#"))...)
	missing := sysTopics()
	live := regexp.MustCompile(`^\$SYS/broker/(.+?) ([01]) (.*)$`)
	for updates := 0; len(missing) > 0 || updates == 0; {
		m := live.FindStringSubmatch(sub.line("> "))
		if m == nil {
			continue
		}
		form, known := missing[m[1]]
		if known && !regexp.MustCompile("^"+form+"$").MatchString(m[3]) {
			t.Errorf("%s is %q, want %s", m[1], m[3], form)
		}
		delete(missing, m[1])
		if m[1] != "uptime" || m[2] != "0" {
			continue
		}
		if updates++; updates == 3 {
			t.Fatalf("after 3 updates there is nothing at %v", missing)
		}
	}
}

// figures are what went one way.
type figures struct {
	bytes, packets, messages, payload int
	qos                               [3]int
}

func (f *figures) add(v version, p packet) {
	f.bytes += len(p.bytes())
	f.packets++
	if m, err := parseMessage(v, p); p.kind == cPUBLISH && err == nil {
		f.messages++
		f.qos[m.qos]++
		f.payload += len(m.payload)
	}
}

// count returns the figures of a stream of whole packets.
func count(t *testing.T, v version, stream []byte) (f figures) {
	t.Helper()
	for _, p := range packetsOf(t, stream) {
		f.add(v, p)
	}
	if f.bytes != len(stream) {
		t.Fatalf("%d bytes in packets, want all %d of the stream", f.bytes, len(stream))
	}
	return f
}

func packetsOf(t *testing.T, stream []byte) (packets []packet) {
	t.Helper()
	for r := bytes.NewReader(stream); ; {
		p, err := readPacket(r)
		if errors.Is(err, io.EOF) {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, p)
	}
}

// A tap keeps what goes through a connection.
type tap struct {
	net.Conn
	sent, received []byte
}

func (c *tap) Write(b []byte) (int, error) {
	c.sent = append(c.sent, b...)
	return c.Conn.Write(b)
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received = append(c.received, b[:n]...)
	return n, err
}

// tapped is dial, with a tap.
func (s *server) tapped(t *testing.T) (*client, *tap) {
	t.Helper()
	c := s.dial(t)
	k := &tap{Conn: c.conn}
	c.conn, c.r = k, bufio.NewReader(k)
	return c, k
}

// traffic has a client publish and receive messages of all QoS, and one message
// that it may not publish. It returns what the client sent and received.
func traffic(t *testing.T, s *server) (sent, received figures) {
	t.Helper()
	c, k := s.tapped(t)
	if a := c.login(login{version: v5, id: "never-a-label"}); a.code != 0 {
		t.Fatalf("CONNECT was refused with %#x", a.code)
	}
	c.subscribe("never/a/label/+", 2)
	for i := range 120 {
		m := message{topic: fmt.Sprint("never/a/label/", i), qos: byte(i % 3), payload: strings.Repeat("x", 5*i)}
		c.publish(m)
		c.receive()
	}
	c.publish(message{topic: "$SYS/broker/uptime", qos: 1, payload: "yesterday"})
	c.ping()
	c.disconnect()
	return count(t, v5, k.sent), count(t, v5, k.received)
}

// TestFigures compares what the broker says of itself with what its clients sent
// and received: to the byte.
func TestFigures(t *testing.T) {
	t.Parallel()
	stricter(t, "it has no /metrics")
	address := freeAddress(t)
	s := startWith(t, func(l *listeners) {
		l.config = "broker: {allow_anonymous: true, sys_interval: 1s}\nmetrics: {listen: '" + address + "'}"
	})
	sent, received := traffic(t, s)
	expectMetrics(t, scrape(t, "http://"+address+"/metrics"), sent, received)
	expectSys(t, s, sent, received)
}

func expectMetrics(t *testing.T, got map[string]float64, sent, received figures) {
	t.Helper()
	want := map[string]int{
		"edge_bytes_received_total": sent.bytes, "edge_bytes_sent_total": received.bytes,
		"edge_packets_received_total": sent.packets, "edge_packets_sent_total": received.packets,
		`edge_connections_total{result="accepted"}`: 1, `edge_connections_total{result="refused"}`: 0,
		`edge_messages_dropped_total{reason="refused"}`: 1, `edge_messages_dropped_total{reason="slow"}`: 0,
		"edge_clients_connected": 0, "edge_sessions": 0, "edge_subscriptions": 0, "edge_inflight_messages": 0,
		"edge_queued_messages": 0, "edge_queued_bytes": 0,
	}
	for qos := range 3 {
		want[fmt.Sprintf(`edge_messages_received_total{qos="%d"}`, qos)] = sent.qos[qos]
		want[fmt.Sprintf(`edge_messages_sent_total{qos="%d"}`, qos)] = received.qos[qos]
	}
	for name, n := range want {
		if v, there := got[name]; !there || v != float64(n) {
			t.Errorf("%s is %v (present %t), want %d", name, v, there, n)
		}
	}
	if sent.messages != 121 || received.messages != 120 {
		t.Errorf("the client sent %d messages and received %d, want 121 and 120", sent.messages, received.messages)
	}
}

// expectSys watches $SYS after a client has sent and received what is given. The
// watcher's own messages count, too. Each update begins with the uptime and says
// how it was before the update; so the third one is compared with all that was
// received before it, when the fourth begins.
func expectSys(t *testing.T, s *server, sent, received figures) {
	t.Helper()
	w, k := s.tapped(t)
	w.login(login{id: "watcher"})
	w.subscribe("$SYS/broker/#", 0)
	own := count(t, v311, k.sent)
	sent.bytes, sent.packets = sent.bytes+own.bytes, sent.packets+own.packets
	for updates := 0; updates < 4; {
		if m := w.take(); m.topic == "$SYS/broker/uptime" && !m.retain {
			updates++
		}
	}
	w.drop()
	got, before := map[string]string{}, figures{}
	all, updates := received, 0
	for _, p := range wholePackets(k.received) {
		if m, err := parseMessage(v311, p); p.kind == cPUBLISH && err == nil {
			if m.topic == "$SYS/broker/uptime" && !m.retain {
				if updates++; updates == 4 {
					break
				}
				before = all
			}
			got[strings.TrimPrefix(m.topic, "$SYS/broker/")] = m.payload
		}
		all.add(v311, p)
	}
	want := map[string]int{
		"bytes/received": sent.bytes, "bytes/sent": before.bytes,
		"messages/received": sent.packets, "messages/sent": before.packets,
		"publish/messages/received": sent.messages, "publish/messages/sent": before.messages,
		"publish/bytes/received": sent.payload, "publish/bytes/sent": before.payload,
		"publish/messages/dropped": 1, "dropped/refused": 1, "dropped/slow": 0, "dropped/full": 0,
		"clients/connected": 1, "clients/total": 1, "clients/maximum": 1, "clients/disconnected": 0,
		"subscriptions/count": 1, "messages/inflight": 0,
	}
	for name, n := range want {
		if got[name] != strconv.Itoa(n) {
			t.Errorf("$SYS/broker/%s is %q, want %d", name, got[name], n)
		}
	}
}

// wholePackets returns the packets in a stream whose last may be cut.
func wholePackets(stream []byte) (packets []packet) {
	for r := bytes.NewReader(stream); ; {
		p, err := readPacket(r)
		if err != nil {
			return packets
		}
		packets = append(packets, p)
	}
}

// TestLossIsTold has a client stop reading: what it loses is counted, and it is
// named.
func TestLossIsTold(t *testing.T) {
	t.Parallel()
	stricter(t, "it does not say whose messages it dropped")
	s := startWith(t, func(l *listeners) {
		l.config = "broker: {allow_anonymous: true, sys_interval: 10s, limits: {qos0_bytes: 20000}}"
	})
	slow := s.connect(t, login{id: "slow"})
	slow.subscribe("flood", 0)
	w := s.connect(t, login{id: "watcher"})
	w.subscribe("$SYS/broker/clients/dropped", 0)
	w.subscribe("$SYS/broker/dropped/slow", 0)
	if m := w.receive(); m.payload != "0" || !m.retain {
		t.Errorf("dropped/slow is %+v at first, want 0, retained", m)
	}
	p := s.connect(t, login{id: "publisher"})
	for range 500 { // 10 MB: more than sockets hold
		p.post(message{topic: "flood", payload: strings.Repeat("x", 20_000)})
	}
	p.ping()
	for total, told := 0, 0; total == 0 || told != total; { // The flood may be cut in two by an update.
		m := w.receive()
		if m.topic == "$SYS/broker/dropped/slow" {
			total, _ = strconv.Atoi(m.payload)
			continue
		}
		var n int
		if _, err := fmt.Sscanf(m.payload, `{"client":"slow","reason":"slow","count":%d}`, &n); err != nil || m.retain {
			t.Fatalf("%s is %s (retained %t): %v", m.topic, m.payload, m.retain, err)
		}
		told += n
	}
}

var (
	sampleLine    = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z_]+="[^"\\{}]*"(?:,[a-z_]+="[^"\\{}]*")*\})? ([-+0-9.e]+)$`)
	typeLine      = regexp.MustCompile(`^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$`)
	helpLine      = regexp.MustCompile(`^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*)$`)
	histogramPart = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// scrape returns the samples at url. It is stricter than the format: each family
// has one TYPE, before its samples, which are together; ours are named by the
// rules of Prometheus.
func scrape(t *testing.T, url string) map[string]float64 {
	t.Helper()
	body := get(t, url)
	if strings.Contains(body, "never") {
		t.Errorf("what a client has chosen is in the metrics:\n%s", body)
	}
	samples, seen, family := map[string]float64{}, map[string]bool{}, ""
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if family = m[1]; seen[family] {
				t.Errorf("%s has two types", family)
			}
			if seen[family] = true; strings.HasPrefix(family, "edge_") && strings.HasSuffix(family, "_total") != (m[2] == "counter") {
				t.Errorf("%s is a %s", family, m[2])
			}
			continue
		}
		if helpLine.MatchString(line) {
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != family && histogramPart.ReplaceAllString(m[1], "") != family {
			t.Errorf("%q is not a sample of %s", line, family)
			continue
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if _, again := samples[m[1]+m[2]]; err != nil || again {
			t.Errorf("%q: %v, again %t", line, err, again)
		}
		samples[m[1]+m[2]] = v
	}
	return samples
}

func get(t *testing.T, url string) string {
	t.Helper()
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK || !bytes.HasSuffix(body, []byte("\n")) {
		t.Fatalf("%s is answered with %s and %d bytes (%v), want 200 and whole lines", url, r.Status, len(body), err)
	}
	return string(body)
}
