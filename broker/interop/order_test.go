package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOrder watches the system calls of the broker while three publishers send
// 10 002 messages, QoS 1 and 2, to a subscriber that is there and one that is
// away: no acknowledgement may be written before fdatasync has returned for what
// it stands for.
func TestOrder(t *testing.T) {
	t.Parallel()
	const count = 3 * 3334
	trace := filepath.Join(t.TempDir(), "trace")
	s := startWith(t, func(*listeners) {}, traced(t, trace, observed...)...)
	clients := orderly(t, s, count)
	s.stop(t)
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}

	a := newAudit(clients)
	must(t, testify(bytes.NewReader(text), a))
	if n := len(a.broken); n > 0 {
		t.Errorf("%d promises were given too early, the first of them:\n%s", n, strings.Join(a.broken[:min(n, 10)], "\n"))
	}
	got := []int{a.kept[cPUBACK], a.kept[cPUBREC], a.kept[cPUBCOMP], a.kept[cPUBREL]}
	if want := []int{count / 2, count / 2, count / 2, count / 2}; !slices.Equal(got, want) {
		t.Errorf("%v PUBACK, PUBREC, PUBCOMP and PUBREL after fdatasync, want %v", got, want)
	}
	t.Logf("%d messages, %d fdatasyncs: %d PUBACK, %d PUBREC, %d PUBCOMP, %d PUBREL after the fdatasync that covers them, %d before",
		count, bytes.Count(text, []byte(" fdatasync(")), got[0], got[1], got[2], got[3], len(a.broken))

	var rest []byte
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte(" fdatasync")) {
			rest = append(rest, line...)
		}
	}
	b := newAudit(clients)
	must(t, testify(bytes.NewReader(rest), b))
	if len(b.broken) != 2*count {
		t.Errorf("the same trace without fdatasync has %d broken promises, want %d", len(b.broken), 2*count)
	}
}

// orderly publishes count messages to s, and returns who has which address.
func orderly(t testing.TB, s *server, count int) (clients map[string]string) {
	t.Helper()
	for _, name := range []string{"online", "away"} {
		c := s.connect(t, login{version: v5, id: name, keep: true})
		c.subscribe("#", 2)
		c.disconnect()
	}
	online := newSink(login{version: v5, id: "online", keep: true}, rand.NewPCG(0, 0))
	received := beside(t, func(t testing.TB) { must(t, online.drain(s, "end")) })
	publishers, sent := []*publisher{}, []func(){}
	for i := range 3 {
		p := newPublisher(login{version: []version{v311, v5}[i%2], id: fmt.Sprint("p", i), keep: true}, rand.NewPCG(1, uint64(i)))
		publishers = append(publishers, p)
		sent = append(sent, beside(t, func(t testing.TB) { must(t, p.march(s, count/3, 1, 2)) }))
	}
	for _, wait := range sent {
		wait()
	}
	last := s.connect(t, login{id: "last"})
	last.publish(message{topic: "kill/end", qos: 1, payload: "end"})
	last.disconnect()
	received()
	clients = map[string]string{online.line.LocalAddr().String(): online.id}
	for _, p := range publishers {
		clients[p.line.LocalAddr().String()] = p.id
	}
	return clients
}

// march publishes n messages, at each of the QoS in turn, which say who they are:
// no packet id is used twice.
func (p *publisher) march(s *server, n int, qos ...byte) error {
	err := p.connect(s)
	for i := 0; err == nil && (i < n || len(p.flights) > 0); {
		if i == n || len(p.flights) == window {
			err = p.step()
			continue
		}
		id := p.free()
		err = p.push(message{topic: "order/" + p.id, qos: qos[i%len(qos)], id: id, payload: fmt.Sprintf("<%s %d>", p.id, id)})
		i++
	}
	return err
}
