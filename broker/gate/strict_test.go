package gate

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edge/broker/journal"
)

const connect3 = "10 0f 0006 4d5149736470 03 02 0000 0001 63" // MQTT 3.1

// hellos are the CONNECT of each version.
var hellos = map[byte]string{3: connect3, 4: connect4, 5: connect5}

// A row is a line of testdata/strict.txt.
type row struct {
	name    string
	version byte // of the connection; 0 if it begins with this packet
	packet  []byte
	verdict string
}

// rows reads testdata/strict.txt, with a row for each version.
func rows(t testing.TB) []row {
	t.Helper()
	text, err := os.ReadFile("testdata/strict.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) != 4 {
			t.Fatalf("line %d has %d columns, want 4: %s", i+1, len(f), line)
		}
		for _, v := range f[0] {
			version := byte(v - '0')
			if v == '-' {
				version = 0
			}
			rows = append(rows, row{fmt.Sprintf("line %d, %c: %s", i+1, v, f[3]), version, assemble(t, f[1]), f[2]})
		}
	}
	return rows
}

var token = regexp.MustCompile(`"[^"]*"|[^ ]+`)

// assemble makes a packet of the notation in testdata/strict.txt.
func assemble(t testing.TB, notation string) []byte {
	t.Helper()
	var open [][]byte // what is before each brace, and before ".."
	var b []byte
	seal := func() {
		n := len(open) - 1
		b = append(appendVarint(open[n], uint32(len(b))), b...)
		open = open[:n]
	}
	for _, tok := range token.FindAllString(notation, -1) {
		switch {
		case tok == "{}":
			b = append(b, 0)
		case tok == "..", tok == "{":
			open, b = append(open, b), nil
		case tok == "}":
			seal()
		case tok[0] == '"':
			b = appendText(b, strings.Trim(tok, `"`))
		default:
			digits, times, _ := strings.Cut(tok+"*1", "*")
			n, _ := strconv.Atoi(strings.TrimSuffix(times, "*1"))
			raw, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatalf("%s in %s: %v", tok, notation, err)
			}
			for range n {
				b = append(b, raw...)
			}
		}
	}
	if len(open) > 0 {
		seal()
	}
	return b
}

// A judgement is what became of a stream of packets.
type judgement struct {
	version byte     // that CONNECT said
	handed  [][]byte // packets that the Control was given
	out     []byte   // what the client was sent
	err     error    // why it ended
}

// judge sends stream to a new connection. A panic fails the test, and so does a
// session that stays online.
func judge(t testing.TB, stream []byte) judgement {
	t.Helper()
	var j judgement
	socket := &replay{in: stream}
	e := engine(journal.Memory{})
	c := New(socket, e, limits(), slog.New(alarm{slog.DiscardHandler, t}))
	j.err = c.Serve(recorder{control{c}, &j})
	if n := e.Stats().Online; n != 0 {
		t.Errorf("%d sessions are online after the end", n)
	}
	j.out = socket.out
	return j
}

// verdict says in the words of testdata/strict.txt how j ended.
func (j judgement) verdict() string {
	v, refused := violation(j.err)
	switch {
	case errors.Is(j.err, errNotMQTT), errors.Is(j.err, errGoodbye):
		return "close"
	case refused:
		return fmt.Sprintf("%02x", byte(v.Reason))
	case errors.Is(j.err, io.EOF), errors.Is(j.err, errLeft):
		return "ok"
	}
	return fmt.Sprint(j.err)
}

// alarm is a log in which there must be no error.
type alarm struct {
	slog.Handler
	t testing.TB
}

func (a alarm) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (a alarm) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(at slog.Attr) bool {
		a.t.Errorf("%s: %s: %v", r.Message, at.Key, at.Value)
		return true
	})
	return nil
}

// A recorder is a control that notes what it is given.
type recorder struct {
	control
	j *judgement
}

func (r recorder) Connect() Reason {
	r.j.version = r.connect.Version
	return r.control.Connect()
}

func (r recorder) Handle(kind byte, body []byte) error {
	r.j.handed = append(r.j.handed, frame(kind<<4|2, body))
	return r.control.Handle(kind, body)
}

// replay is a socket whose peer has said all it has to say, and reads all.
type replay struct {
	net.Conn
	in, out []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.in)
	r.in = r.in[n:]
	return n, nil
}

func (r *replay) Write(p []byte) (int, error) {
	r.out = append(r.out, p...)
	return len(p), nil
}
func (*replay) Close() error                     { return nil }
func (*replay) SetReadDeadline(time.Time) error  { return nil }
func (*replay) SetWriteDeadline(time.Time) error { return nil }
func (*replay) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

var ping = []byte{pingreq << 4, 0}

// check judges a row, with a PINGREQ behind it that must be reached if the packet
// is accepted.
func (r row) check(t *testing.T) {
	j := judge(t, append(append(unhex(hellos[r.version]), r.packet...), ping...))
	if got := j.verdict(); got != r.verdict {
		t.Fatalf("%x is answered with %s (%v), want %s", r.packet, got, j.err, r.verdict)
	}
	if r.verdict == "ok" {
		r.accepted(t, j)
	} else {
		r.refused(t, j)
	}
}

func TestStrictRows(t *testing.T) {
	all := rows(t)
	if len(all) < 250 {
		t.Errorf("%d rows, want 250 at least", len(all))
	}
	for _, r := range all {
		t.Run(r.name, r.check)
	}
}

// accepted checks that the packet was passed on, and that mochi reads in it what
// we do.
func (r row) accepted(t *testing.T, j judgement) {
	if last := lastPacket(j.out); r.packet[0]>>4 != disconnect && last[0]>>4 != pingresp {
		t.Errorf("%x is the last packet to the client, want PINGRESP", last)
	}
	compare(t, r.version, r.packet)
}

// refused checks what the client is told.
func (r row) refused(t *testing.T, j judgement) {
	n, _ := strconv.ParseUint(r.verdict, 16, 8)
	told, want := lastPacket(j.out), []byte{disconnect << 4, 1, byte(n)}
	switch {
	case r.verdict == "close":
		if r.version == 0 && told != nil || r.version > 0 && told[0] != connack<<4 {
			t.Errorf("the client is told %x, want nothing", told)
		}
	case r.version == 5 && !bytes.Equal(told, want):
		t.Errorf("the client is told %x, want DISCONNECT with %s", told, r.verdict)
	case r.version > 0 && r.version < 5 && told[0] != connack<<4:
		t.Errorf("the client is told %x; before MQTT 5 there is nothing to tell", told)
	case r.version == 0 && told != nil:
		code := byte(n)
		if len(told) == 4 { // MQTT 3.1 or 3.1.1.
			code, _ = Reason(n).v3()
		}
		if told[0] != connack<<4 || told[3] != code {
			t.Errorf("the client is told %x, want CONNACK with %02x", told, code)
		}
	}
}

// lastPacket returns the last packet of a stream.
func lastPacket(stream []byte) (last []byte) {
	for len(stream) > 0 {
		length, n := varint(stream[1:])
		last, stream = stream[:1+n+int(length)], stream[1+n+int(length):]
	}
	return last
}

// bodyOf returns a packet without its fixed header, or nil where it is not
// complete.
func bodyOf(packet []byte) []byte {
	if len(packet) < 2 {
		return nil
	}
	length, n := varint(packet[1:])
	if n <= 0 || len(packet) < 1+n+int(length) {
		return nil
	}
	return packet[1+n : 1+n+int(length)]
}

// TestStrictRowsCutOff ends the connection within each row: what is shorter than
// its header announces is never acted upon.
func TestStrictRowsCutOff(t *testing.T) {
	for _, r := range rows(t) {
		hello := unhex(hellos[r.version])
		nothing := judge(t, hello)
		for n := range r.packet {
			part := r.packet[:n]
			if body := bodyOf(part); body != nil {
				continue // Bytes behind the end of the packet.
			}
			j := judge(t, append(slices.Clip(hello), part...))
			if len(j.handed) != len(nothing.handed) || j.verdict() == "ok" && len(j.out) != len(nothing.out) {
				t.Errorf("%s: %x is acted upon: %x, %v", r.name, part, j.out, j.err)
			}
		}
	}
}

// TestStrictRowsShortened takes bytes from the end of each row and says so in the
// header: some are packets still, and then mochi must read the same in them.
func TestStrictRowsShortened(t *testing.T) {
	for _, r := range rows(t) {
		body := bodyOf(r.packet)
		for n := range body {
			packet := append(appendVarint(r.packet[:1:1], uint32(n)), body[:n]...)
			j := judge(t, append(unhex(hellos[r.version]), packet...))
			if j.verdict() == "ok" {
				compare(t, r.version, packet)
			}
		}
	}
}

// TestStrictRowsFlipped flips each bit of the fixed header of each row.
func TestStrictRowsFlipped(t *testing.T) {
	for _, r := range rows(t) {
		head := len(r.packet) - len(bodyOf(r.packet))
		for bit := range 8 * head {
			packet := append([]byte{}, r.packet...)
			packet[bit/8] ^= 1 << (bit % 8)
			hello := unhex(hellos[r.version])
			nothing := judge(t, hello)
			j := judge(t, append(slices.Clip(hello), packet...))
			switch body := bodyOf(packet); {
			case j.verdict() != "ok":
			case body == nil && (len(j.handed) != len(nothing.handed) || len(j.out) != len(nothing.out)):
				t.Errorf("%s: %x is acted upon, but is not complete: %x", r.name, packet, j.out)
			case len(packet)-len(body) == head:
				compare(t, r.version, packet)
			}
		}
	}
}
