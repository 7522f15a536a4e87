package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A lie is what a hostile broker sends, once it has read CONNECT, and once it has
// read what follows, SUBSCRIBE or PUBLISH.
type lie struct {
	name         string
	first, later []string // again and again, if they end in more
	deaf         bool     // nothing is read after CONNECT
}

// more is the end of what is repeated until the other side has enough.
const more = "..."

// welcome is a CONNACK of MQTT 5, and what each of the two commands waits for then.
const welcome = "\x20\x03\x00\x00\x00"

var lies = []lie{
	{name: "silence"},
	{name: "silence after CONNACK", first: []string{welcome}},
	{name: "the end", first: []string{"\x20"}},
	{name: "no MQTT", first: []string{"HTTP/1.1 400 Bad Request\r\n\r\n", more}},
	{name: "256 MB announced", first: []string{"\x20\xff\xff\xff\x7f\x00"}},
	{name: "256 MB announced later", first: []string{welcome, "\x30\xff\xff\xff\x7f\x00"}},
	{name: "a length without end", first: []string{"\x20", "\xff", more}},
	{name: "a length without end later", first: []string{welcome, "\x30", strings.Repeat("\xff", 1000), more}},
	{name: "half of the properties", first: []string{"\x20\x04\x00\x00\x7f\x21"}},
	{name: "unknown properties", first: []string{"\x20\x05\x00\x00\x02\x7f\x00"}},
	{name: "a maximum of nothing", first: []string{"\x20\x0b\x00\x00\x08\x21\x00\x00\x27\x00\x00\x00\x00"}},
	{name: "CONNACK without end", first: []string{welcome, more}},
	{name: "answers to what nobody asked", first: []string{welcome, "\x40\x02\xff\xff\x50\x02\xff\xff\x62\x02\xff\xff\x70\x02\xff\xff\x90\x04\xff\xff\x00\x00\xd0\x00", more}},
	{name: "packets of a client", first: []string{welcome, "\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"}},
	{name: "a method", first: []string{welcome, "\xf0\x07\x18\x05\x15\x00\x02\xff\xff"}},
	{name: "too many answers", first: []string{welcome}, later: []string{"\x90\x06\x00\x01\x00\x00\x00\x80\x90\x06\x00\x02\x00\x00\x00\x80"}},
	{name: "no answers", first: []string{welcome}, later: []string{"\x90\x03\x00\x01\x00\x90\x03\x00\x02\x00\x40\x02\x00\x02"}},
	{name: "large messages without end", first: []string{welcome, string(message{topic: "a", qos: 1, id: 1, payload: strings.Repeat("x", 8<<20)}.packet(v5).bytes()), more}},
	{name: "all packet ids of QoS 2", first: []string{welcome, allIDs()}},
	{name: "an alias for nothing", first: []string{welcome, string(message{qos: 0, props: properties{number[uint16](topicAlias, 9)}}.packet(v5).bytes()), more}},
	{name: "deafness", first: []string{welcome}, deaf: true},
}

// allIDs is a message of QoS 2 for each packet id.
func allIDs() string {
	var b bytes.Buffer
	for id := 1; id < 1<<16; id++ {
		b.Write(message{topic: "a", qos: 2, id: uint16(id), payload: "x"}.packet(v5).bytes())
	}
	return b.String()
}

// lieTo has `edge sub` and `edge pub` meet brokers that lie, a few at a time. Neither
// may panic, hang for ever or take memory without bound.
func lieTo(a *arena) {
	const few = 7
	a.crowd(few, func(a *arena, i int) {
		for ; i < len(lies); i += few {
			url := "tcp://" + lies[i].tell(a)
			a.fall(lies[i], nil, words("sub --timeout 1s -W 3 -q 1 a -L "+url))
			a.fall(lies[i], make([]byte, 8<<20), words("pub --timeout 1s -q 1 -s a -L "+url))
		}
	})
}

// believer is the memory that lies may make edge pub and edge sub take: 20 messages
// of 8 MiB, one that is read and one that is sent, as much again before the collector
// has run, and what they need anyway.
const believer = (2*22*8 + 32) << 20

// fall runs the program, which is lied to, and notes how it ends.
func (a *arena) fall(l lie, input []byte, args []string) {
	b, err := peer()
	if err != nil {
		a.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.(edge).path, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		a.Fatal(err)
	}
	most := peakOf(cmd)
	if ctx.Err() != nil || strings.Contains(stderr.String(), "goroutine ") {
		a.Errorf("%s: edge %s: %v\n%s", l.name, args[0], cmd.ProcessState, stderr.String())
		return
	}
	a.note(fmt.Sprint("exit code ", cmd.ProcessState.ExitCode()), time.Since(began))
	if most > believer && !race {
		a.Errorf("%s: edge %s has taken %d MiB, want at most %d", l.name, args[0], most>>20, believer>>20)
	}
}

// peakOf waits for the end of a process and returns the most memory that it had, in
// bytes. What the kernel has of a process that has ended counts this one, too.
func peakOf(cmd *exec.Cmd) (most int) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	for {
		select {
		case <-ended:
			return most
		case <-time.After(20 * time.Millisecond):
			most = max(most, highWater(cmd.Process.Pid))
		}
	}
}

// tell starts a broker that lies.
func (l lie) tell(t testing.TB) (address string) {
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var telling sync.WaitGroup
	telling.Go(func() {
		for {
			conn, err := at.Accept()
			if err != nil {
				return
			}
			telling.Go(func() { l.tellOne(conn) })
		}
	})
	t.Cleanup(func() { at.Close(); telling.Wait() })
	return at.Addr().String()
}

func (l lie) tellOne(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 64<<10)
	if _, err := conn.Read(b); err != nil || claim(conn, l.first) != nil {
		return
	}
	if l.deaf {
		elapse(5 * time.Second) // The program has given up.
		return
	}
	if _, err := conn.Read(b); err == nil && claim(conn, l.later) == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}

// claim says what is to be said, to an end or without one.
func claim(conn net.Conn, words []string) (err error) {
	again := ""
	for i, w := range words {
		if w == more {
			again = words[i-1]
		} else if _, err = io.WriteString(conn, w); err != nil {
			return err
		}
	}
	for again != "" && err == nil {
		elapse(time.Millisecond) // So that there is some time left for a bystander.
		_, err = io.WriteString(conn, again)
	}
	return err
}
