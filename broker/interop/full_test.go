package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A trouble is a broker whose disk takes no more, and its clients.
type trouble struct {
	*server
	t       testing.TB
	state   *client // reads what the journal is said to be
	durable *client // publishes to a session that is away
	acked   []string
	refused int
}

// large is what makes a disk full soon.
var large = strings.Repeat("x", 60_000)

// troubled starts a broker in dir for clients that see it through a lack of disk.
func troubled(t testing.TB, dir string) *trouble {
	t.Helper()
	s := startWith(t, func(l *listeners) {
		l.dir = dir
		l.config = "broker: {allow_anonymous: true, sys_interval: 1s, limits: {store_reserve: 0}, durability: [{filter: never/#, never: true}]}"
	})
	away := s.connect(t, login{id: "away", keep: true})
	away.subscribe("durable", 1)
	away.disconnect()
	x := &trouble{server: s, t: t, state: s.connect(t, login{id: "state"}), durable: s.connect(t, login{version: v5, id: "durable", keep: true})}
	x.state.subscribe("$SYS/broker/journal/state", 0)
	x.await("ok")
	return x
}

// publish publishes what must survive and notes whether that was acknowledged.
func (x *trouble) publish() (code byte) {
	x.t.Helper()
	payload := fmt.Sprintf("%d %s", len(x.acked)+x.refused, large)
	code = x.durable.publish(message{topic: "durable", qos: 1, payload: payload})
	switch code {
	case 0:
		x.acked = append(x.acked, payload)
	case 0x97:
		x.refused++
	default:
		x.t.Fatalf("PUBACK has code %#x, want 0 or 0x97 (quota exceeded)", code)
	}
	return code
}

// until publishes until the answer is code.
func (x *trouble) until(code byte) {
	x.t.Helper()
	for deadline := time.Now().Add(patience); x.publish() != code; {
		if time.Now().After(deadline) {
			x.t.Fatalf("no PUBACK has had code %#x for %v", code, patience)
		}
	}
}

// goesOn checks that the broker does what needs no disk, and refuses clients that
// it cannot tell why.
func (x *trouble) goesOn() {
	x.t.Helper()
	c := x.connect(x.t, login{version: v5, id: "goes on"})
	for qos, topic := range []string{"free", "never/kept", "never/kept"} {
		c.subscribe(topic, byte(qos))
		want := fmt.Sprint(topic, " at QoS ", qos)
		if code := c.publish(message{topic: topic, qos: byte(qos), payload: want}); code != 0 {
			x.t.Errorf("%s was refused with %#x", want, code)
		}
		if m := c.receive(); m.payload != want {
			x.t.Errorf("%q came, want %q", m.payload, want)
		}
	}
	c.disconnect()
	x.untilClosed()
}

// untilClosed publishes as a client that can only be refused by the end of its
// connection.
func (x *trouble) untilClosed() {
	x.t.Helper()
	c := x.connect(x.t, login{version: v311, id: "old"})
	for n := 0; ; n++ {
		payload := fmt.Sprintf("old %d %s", n, large)
		c.post(message{topic: "durable", qos: 1, payload: payload})
		p, err := readPacket(c.r)
		if err != nil {
			return
		}
		if p.kind != cPUBACK {
			x.t.Fatalf("the broker sent %v, want PUBACK or the end", p.kind)
		}
		x.acked = append(x.acked, payload)
	}
}

// await waits until the journal is said to be in a state.
func (x *trouble) await(state string) {
	x.t.Helper()
	for payload := ""; payload != state; {
		payload = x.state.take().payload
	}
}

// survives kills the broker: all that was acknowledged must be there, and nothing
// that was refused.
func (x *trouble) survives() {
	x.t.Helper()
	x.kill(x.t)
	next := x.again(x.t)
	away, a := next.resume(x.t, login{id: "away", keep: true})
	if !a.present {
		x.t.Error("the broker has forgotten the session")
	}
	for n, want := range x.acked {
		if m := away.receive(); m.payload != want {
			x.t.Fatalf("message %d is %.10q, want %.10q", n, m.payload, want)
		}
	}
	away.ping()
	if n := len(away.inbox); n > 0 {
		x.t.Errorf("%d messages came that nobody was told of, the first is %.30q", n, away.inbox[0].payload)
	}
	x.t.Logf("%s: %d messages acknowledged, %d refused, none lost", x.t.Name(), len(x.acked), x.refused)
}

// TestFullDisk fills the file system, and makes room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	stricter(t, "it has acknowledged messages in memory alone")
	v := newVolume(t, 64<<20)
	x := troubled(t, v.dir)
	x.publish()
	ballast := filepath.Join(v.dir, "ballast")
	fill(t, ballast)
	x.until(0x97)
	x.await("full")
	x.goesOn()
	must(t, os.Remove(ballast))
	x.await("ok")
	x.until(0)
	for range 10 {
		x.publish()
	}
	x.survives()
}

// fill writes to a file until the file system has no room for more.
func fill(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if n, err := f.Write(make([]byte, size)); err != nil || n < size {
			size /= 2
		}
	}
	must(t, f.Sync())
}

// TestFailingDisk has each fdatasync fail for a while.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	traced(t, "/dev/null")
	x := troubled(t, t.TempDir())
	x.publish()
	heal := x.inject(t, "fdatasync:error=EIO")
	waiting := x.connect(t, login{version: v5, id: "waiting", keep: true})
	first := message{topic: "durable", qos: 1, payload: "the first that fails"}
	waiting.post(first)
	x.await("failing")
	x.until(0x97)
	x.goesOn()
	waiting.send(packet{kind: cPINGREQ})
	waiting.next(cPINGRESP) // and no PUBACK
	heal()
	if a := waiting.answer(cPUBACK); a.code != 0 {
		t.Errorf("PUBACK has code %#x when the disk is well again, want 0", a.code)
	}
	x.acked = append(x.acked, first.payload)
	x.await("ok")
	x.until(0)
	x.survives()
}

// inject has strace put errors into system calls of the broker, until heal.
func (s *server) inject(t testing.TB, what string) (heal func()) {
	t.Helper()
	name, _, _ := strings.Cut(what, ":")
	command := fmt.Sprintf("exec strace -f -p %d -o /dev/null -e signal=none -e trace=%s -e inject=%s 2>&1", s.cmd.Process.Pid, name, what)
	r := launchClient(t, "sh", "-c", command)
	if line, _ := r.next(); !strings.Contains(line, " attached") {
		t.Skipf("strace may not attach to a process here: %s", line)
	}
	return func() {
		_ = r.cmd.Process.Signal(os.Interrupt) // strace lets go of the broker.
		for range r.lines {                    // until it has ended
		}
	}
}
