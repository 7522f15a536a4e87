package load

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/bench/wire"
	"edge/internal/pki"
	"edge/internal/topic"
)

// A smallBroker is a real broker, small because it has only what the load
// generator asks for, that can be told to go wrong.
type smallBroker struct {
	addr string
	// spoil decides what becomes of the n-th delivery: the messages that are
	// sent in its place.
	spoil func(n int, m wire.Message) []wire.Message

	busy atomic.Int32 // CONNECTs that are refused before one is not

	unsubscribed chan struct{} // gets one for each UNSUBSCRIBE, when there is room

	mu       sync.Mutex
	conns    map[*Conn]string  // filter of each connection
	clean    map[string][]bool // whether each CONNECT of a client asked for a clean session
	retained []wire.Message
	n        int
	done     sync.WaitGroup
}

func startBroker(t *testing.T, spoil func(int, wire.Message) []wire.Message) *smallBroker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startAt(t, l, spoil)
}

// startSecure starts a broker with TLS and returns the settings of a client that
// trusts it.
func startSecure(t *testing.T) (*smallBroker, *tls.Config) {
	t.Helper()
	home := net.IPv4(127, 0, 0, 1)
	own, err := pki.Open(t.TempDir(), time.Now).Certificate(nil, []net.IP{home})
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*own}})
	if err != nil {
		t.Fatal(err)
	}
	trust := &tls.Config{ServerName: home.String(), RootCAs: x509.NewCertPool()}
	trust.RootCAs.AddCert(own.Leaf)
	return startAt(t, l, nil), trust
}

func startAt(t *testing.T, l net.Listener, spoil func(int, wire.Message) []wire.Message) *smallBroker {
	b := &smallBroker{addr: l.Addr().String(), spoil: spoil, conns: map[*Conn]string{}, clean: map[string][]bool{}, unsubscribed: make(chan struct{}, 2)}
	b.done.Go(func() { b.accept(l) })
	t.Cleanup(func() {
		_ = l.Close()
		b.mu.Lock()
		for c := range b.conns {
			_ = c.Close()
		}
		b.mu.Unlock()
		b.done.Wait()
	})
	return b
}

func (b *smallBroker) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c := &Conn{Conn: nc}
		b.mu.Lock()
		b.conns[c] = ""
		b.mu.Unlock()
		b.done.Go(func() {
			for err := error(nil); err == nil; {
				err = c.Batch(func(p wire.Packet) error { return b.handle(c, p) })
			}
			b.mu.Lock()
			delete(b.conns, c)
			b.mu.Unlock()
			_ = c.Close()
		})
	}
}

func (b *smallBroker) handle(c *Conn, p wire.Packet) error {
	var answer []byte
	switch p.Type {
	case wire.Connect:
		b.mu.Lock()
		id := string(p.Body[12:])
		b.clean[id] = append(b.clean[id], p.Body[7]&0x02 != 0)
		b.mu.Unlock()
		answer = []byte{0x20, 2, 0, 0}
		if b.busy.Add(-1) >= 0 {
			answer[3] = 3 // Server unavailable (section 3.2.2.3).
		}
	case wire.Subscribe:
		answer = b.subscribe(c, p)
	case wire.Unsubscribe:
		answer = []byte{0xB0, 2, p.Body[0], p.Body[1]}
		select {
		case b.unsubscribed <- struct{}{}:
		default:
		}
	case wire.Publish:
		m, err := p.Message()
		if err != nil {
			return err
		}
		b.route(m)
		if m.QoS > 0 {
			answer = wire.AppendAck(nil, map[byte]wire.Type{1: wire.Puback, 2: wire.Pubrec}[m.QoS], m.ID)
		}
	case wire.Pubrec, wire.Pubrel:
		id, _ := p.ID()
		answer = wire.AppendAck(nil, map[wire.Type]wire.Type{wire.Pubrec: wire.Pubrel, wire.Pubrel: wire.Pubcomp}[p.Type], id)
	}
	_, err := c.Write(answer)
	return err
}

// subscribe returns the SUBACK, and the retained messages behind it.
func (b *smallBroker) subscribe(c *Conn, p wire.Packet) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[c] = string(p.Body[4 : len(p.Body)-1])
	out := []byte{0x90, 3, p.Body[0], p.Body[1], p.Body[len(p.Body)-1]}
	for _, m := range b.retained {
		out = wire.AppendPublish(out, m)
	}
	return out
}

func (b *smallBroker) route(m wire.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Retain {
		m.Topic, m.Payload = append([]byte(nil), m.Topic...), append([]byte(nil), m.Payload...)
		b.retained = append(b.retained, m)
		return
	}
	for c, filter := range b.conns {
		if filter == "" || !topic.Match(filter, string(m.Topic)) {
			continue
		}
		var out []byte
		messages := []wire.Message{m}
		if b.spoil != nil {
			messages = b.spoil(b.n, m)
		}
		b.n++
		for _, m := range messages {
			out = wire.AppendPublish(out, m)
		}
		_, _ = c.Write(out)
	}
}
