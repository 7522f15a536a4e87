package uart

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

const long = 10 * time.Second

// sub is a subnegotiation of the option as hexadecimal digits.
func sub(content string) string {
	b, _ := hex.DecodeString(strings.ReplaceAll(content, " ", ""))
	return string(appendSub(nil, b...))
}

// TestComServerAnswers has the layouts and values of RFC 2217 §2 to §4.
func TestComServerAnswers(t *testing.T) {
	line := Config{Baud: 9600, DataBits: 7, Parity: EvenParity, StopBits: 2, Flow: RTSCTS, Port: "x"}.withDefaults()
	free := func(cfg Config) error { line = cfg; return nil }
	for _, tt := range []struct {
		name, ask, want string
		set             func(Config) error
	}{
		{"signature", "00", "64 65646765", nil},
		{"the client's signature", "00 616263", "", nil},
		{"rate?", "01 00000000", "65 00002580", nil},
		{"rate, held", "01 00004b00", "65 00002580", nil},
		{"rate, refused", "01 00004b00", "65 00002580", func(Config) error { return io.EOF }},
		{"rate out of range", "01 ffffffff", "65 00002580", free},
		{"rate without value", "01", "", free},
		{"rate of two bytes", "01 2580", "", free},
		{"data size?", "02 00", "66 07", nil},
		{"data size 9", "02 09", "66 07", free},
		{"parity?", "03 00", "67 03", nil},
		{"parity 9", "03 09", "67 03", free},
		{"stop size?", "04 00", "68 02", nil},
		{"flow?", "05 00", "69 03", nil},
		{"break on", "05 05", "69 06", nil},
		{"DTR off", "05 09", "69 08", nil},
		{"RTS?", "05 0a", "69 0b", nil},
		{"inbound flow", "05 10", "69 0e", nil},
		{"line state mask", "0a 1e", "6e 1e", nil},
		{"purge both", "0c 03", "70 03", nil},
		{"suspend", "08", "", nil},
		{"rate 19200", "01 00004b00", "65 00004b00", free},
		{"data size 8", "02 08", "66 08", free},
		{"parity none", "03 01", "67 01", free},
		{"stop size 1", "04 01", "68 01", free},
	} {
		s, _ := newComServer(func() Config { return line }, tt.set)
		s.told = true
		data, got := s.decode([]byte("a" + sub(tt.ask) + "b"))
		want := ""
		if tt.want != "" {
			want = sub(tt.want)
		}
		if string(data) != "ab" || string(got) != want {
			t.Errorf("%s: answer to %s = %x, want %x; data %q", tt.name, tt.ask, got, want, data)
		}
	}
	if want := (Config{Port: "x", Baud: 19200, DataBits: 8, Parity: NoParity, StopBits: 1, Flow: RTSCTS}.withDefaults()); line != want {
		t.Errorf("the line is %+v, want %+v", line, want)
	}
	s, hello := newComServer(func() Config { return line }, nil)
	if want := "\xff\xfb\x00\xff\xfd\x00\xff\xfb\x03\xff\xfd\x03\xff\xfd\x2c"; string(hello) != want {
		t.Errorf("hello = %x, want %x", hello, want)
	}
	if _, got := s.decode([]byte("\xff\xfb\x2c\xff\xfd\x01" + sub("0bff"))); string(got) != "\xff\xfc\x01"+sub("6b b0")+sub("6f ff")+sub("6b b0") {
		t.Errorf("answers = %x", got)
	}
}

// echo serves one connection until it ends; the line echoes.
func echo(c net.Conn, f *comServer, hello []byte) {
	_, _ = c.Write(hello)
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		if err != nil {
			return
		}
		data, reply := f.decode(chunk[:n])
		_, _ = c.Write(append(reply, appendEscaped(nil, data)...))
	}
}

// dialFar opens an RFC 2217 port at a server that line and set belong to.
func dialFar(t *testing.T, cfg Config, line *Config, set func(Config) error) (*Port, net.Conn, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		accepted <- c
		s, hello := newComServer(func() Config { return *line }, set)
		echo(c, s, hello)
	}()
	cfg.Port = "rfc2217://" + l.Addr().String() + "?timeout=10s"
	p, err := Open(t.Context(), cfg)
	t.Cleanup(func() { <-done })
	if err != nil {
		return nil, nil, err
	}
	c := <-accepted
	t.Cleanup(func() { c.Close(); p.Close() })
	return p, c, nil
}

func TestComPortSetsTheLine(t *testing.T) {
	line := Config{Port: "x"}.withDefaults()
	cfg := Config{Baud: 9600, DataBits: 7, Parity: EvenParity, StopBits: 2}
	p, far, err := dialFar(t, cfg, &line, func(c Config) error { line = c; return nil })
	if err != nil {
		t.Fatal(err)
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	_ = p.SetDeadline(time.Now().Add(long))
	if n, err := p.Write(every); n != 256 || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	got := make([]byte, 256)
	if _, err := io.ReadFull(p, got); err != nil || string(got) != string(every) {
		t.Errorf("echo of every byte: %x, %v", got, err)
	}
	if want := (Config{Port: "x", Baud: 9600, DataBits: 7, Parity: EvenParity, StopBits: 2, Flow: NoFlow}.withDefaults()); line != want {
		t.Errorf("the far line is %+v, want %+v", line, want)
	}
	if err := p.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if err := p.Discard(); err != nil {
		t.Errorf("Discard: %v", err)
	}
	_ = p.SetReadDeadline(time.Now())
	if _, err := p.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after the deadline: %v", err)
	}
	_ = p.SetReadDeadline(time.Time{})
	_, _ = far.Write([]byte("\xff\xfa\x2c\x6a\x0e\xff\xf0" + sub("64") + sub("6a") + "x")) // NOTIFY-LINESTATE: overrun, parity, framing
	if n, err := p.Read(got); n != 1 || err != nil {
		t.Errorf("Read = %d, %v, want the byte after a notification", n, err)
	}
	counted, err := p.Counters()
	if want := (Counters{Overrun: 1, Parity: 1, Frame: 1}); counted != want || err != nil {
		t.Errorf("Counters = %+v, %v, want %+v", counted, err, want)
	}
	far.Close()
	if _, err := p.Read(got); !errors.Is(err, ErrGone) {
		t.Errorf("Read after the end: %v, want %v", err, ErrGone)
	}
}

// TestComPortIsControlled: what is asked of an open port reaches the far side,
// whether somebody reads meanwhile or not.
func TestComPortIsControlled(t *testing.T) {
	for _, reading := range []bool{false, true} {
		line := Config{Port: "x"}.withDefaults()
		p, far, err := dialFar(t, Config{Baud: 300, DataBits: 7, Parity: EvenParity}, &line, func(c Config) error { line = c; return nil })
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error, 1)
		if reading {
			go func() {
				_, err := io.Copy(io.Discard, p)
				read <- err
			}()
		}
		if err := p.SetRate(9600, 8, NoParity); err != nil {
			t.Errorf("SetRate: %v", err)
		}
		if line.Baud != 9600 || line.DataBits != 8 || line.Parity != NoParity {
			t.Errorf("the far line is %+v, want 9600 8N", line)
		}
		if err := errors.Join(p.SetDTR(false), p.SetRTS(true), p.Break(t.Context(), time.Microsecond)); err != nil {
			t.Errorf("wires: %v", err)
		}
		lines, err := p.Lines()
		if want := (Lines{RTS: true, CTS: true, DSR: true, DCD: true}); lines != want || err != nil {
			t.Errorf("Lines = %+v, %v, want %+v", lines, err, want)
		}
		far.Close()
		if reading {
			if err := <-read; !errors.Is(err, ErrGone) {
				t.Errorf("Read: %v, want %v", err, ErrGone)
			}
		}
		if err := p.SetRate(300, 8, NoParity); err == nil {
			t.Error("SetRate of a port that is gone: no error")
		}
	}
}

func TestComPortRefused(t *testing.T) {
	line := Config{Port: "x"}.withDefaults()
	_, _, err := dialFar(t, Config{Baud: 9600}, &line, nil)
	if want := "set baud: the far side cannot do 9600 baud; it has 115200"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want %q within", err, want)
	}
	_, _, err = dialFar(t, Config{Flow: RTSCTS}, &line, nil)
	if want := "set flow: the far side refuses flow: asked for [3], it has [1]"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want %q within", err, want)
	}
}

// TestComPortOfAnotherKind: a server that is raw, or knows telnet only.
func TestComPortOfAnotherKind(t *testing.T) {
	for _, tt := range []struct{ says, want string }{
		{"\xff\xfe\x2c", "does not do RFC 2217"},
		{"", "no answer in telnet"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if c, err := l.Accept(); err == nil {
				_, _ = c.Write([]byte(tt.says))
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		s, _, _ := parseSource("rfc2217://" + l.Addr().String())
		conn, err := dial(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		until := time.Now().Add(long)
		if tt.says == "" {
			until = time.Now()
		}
		if err := newComPort(conn).begin(Config{}.withDefaults(), until); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("server that says %q: %v, want %q within", tt.says, err, tt.want)
		}
		conn.Close()
		<-done
		l.Close()
	}
}

// A narrow connection takes so many bytes, then no more until it is wider.
type narrow struct {
	room int
	got  []byte
}

func (n *narrow) Write(b []byte) (int, error) {
	k := min(n.room, len(b))
	n.room -= k
	n.got = append(n.got, b[:k]...)
	if k < len(b) {
		return k, os.ErrDeadlineExceeded
	}
	return k, nil
}

func (n *narrow) SetWriteDeadline(time.Time) error { return nil }

// TestOutboxFinishesAnEscape: a write that a deadline cuts, also between the
// two bytes of an escape, is continued by the next, whatever that is.
func TestOutboxFinishesAnEscape(t *testing.T) {
	data := []byte("a\xff\xffb\xffc")
	for room := range len(appendEscaped(nil, data)) + 1 {
		for _, command := range []bool{true, false} {
			c := &narrow{room: room}
			o := outbox{tcp: c}
			n, err := o.Write(data)
			if (err == nil) != (n == len(data)) {
				t.Errorf("room for %d: Write = %d, %v", room, n, err)
			}
			c.room = 1 << 20
			if command {
				if err := o.command(appendSub(nil, cpPurge, purgeBoth)); err != nil {
					t.Fatal(err)
				}
			}
			_, _ = o.Write(data[n:])
			got, said := telnetSays(c.got)
			if string(got) != string(data) || (said != "") != command {
				t.Errorf("room for %d, then the rest: %q, %q", room, got, said)
			}
		}
	}
}

func TestOutboxOfAFloodIsBounded(t *testing.T) {
	c := &narrow{}
	o := outbox{tcp: c}
	o.write.Lock() // somebody writes, and the far side does not read
	var err error
	for i := 0; err == nil && i <= maxPending; i++ {
		err = o.command([]byte("x"))
	}
	if !errors.Is(err, ErrGone) || len(o.pending) != maxPending {
		t.Errorf("%d bytes wait: %v, want %d and %v", len(o.pending), err, maxPending, ErrGone)
	}
}

// FuzzComServer: whatever a client says, the answers decode, and the line is
// never set to what is not valid.
func FuzzComServer(f *testing.F) {
	f.Add([]byte("\xff\xfb\x2c" + sub("01 00004b00") + "x"))
	f.Add([]byte(sub("0200") + sub("0503") + sub("0bff") + sub("00")))
	f.Fuzz(func(t *testing.T, wire []byte) {
		line := Config{Port: "x"}.withDefaults()
		s, _ := newComServer(func() Config { return line }, func(c Config) error { line = c; return nil })
		_, reply := s.decode(wire)
		if err := line.Validate(); err != nil {
			t.Errorf("%x sets %+v: %v", wire, line, err)
		}
		var d telnetDecoder
		if data := d.decode(nil, reply, func(byte, byte, []byte) {}); len(data) != 0 || d.state != inData {
			t.Errorf("the answer %x to %x has data %x", reply, wire, data)
		}
	})
}

func TestRateMayBeOffAsAnAdaptersMay(t *testing.T) {
	for _, tt := range []struct {
		want, got uint32
		ok        bool
	}{{9600, 9600, true}, {115200, 117647, true}, {9600, 9000, false}, {9600, 0, false}} {
		cmd := binary.BigEndian.AppendUint32([]byte{cpSetBaud}, tt.want)
		if err := confirmed(cmd, binary.BigEndian.AppendUint32(nil, tt.got)); (err == nil) != tt.ok {
			t.Errorf("asked for %d, got %d: %v, want ok %t", tt.want, tt.got, err, tt.ok)
		}
	}
}

func TestComPortSaysItsSignature(t *testing.T) {
	wire := &narrow{room: 64}
	c := newComPort(nil)
	c.out.tcp = wire
	c.event(tnSB, optComPort, []byte{fromServer + cpSignature})
	c.event(tnSB, optComPort, append([]byte{fromServer + cpSignature}, "ser2net"...)) // theirs is no question
	if want := sub("00 65646765"); string(wire.got) != want || c.failed != nil {
		t.Errorf("asked for a signature, it says %x, %v, want %x", wire.got, c.failed, want)
	}
}
