package uart

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wireEnd is a conn in memory: a line whose rate is a number.
type wireEnd struct {
	net.Conn
	rates chan int // what it was set to
}

func (w wireEnd) setLine(baud, _ int, _ Parity) error {
	if w.rates == nil {
		return errors.ErrUnsupported
	}
	w.rates <- baud
	return nil
}
func (wireEnd) setWire(string, bool) error { return nil }
func (wireEnd) lines() (Lines, error)      { return Lines{}, nil }
func (wireEnd) setBreak(bool) error        { return nil }

func (wireEnd) Name() string         { return "wire" }
func (wireEnd) unsent() (int, error) { return 0, nil }
func (wireEnd) discard() error       { return nil }

// callers is a listener in memory; call connects to it from an address.
type callers chan net.Conn

func (c callers) Accept() (net.Conn, error) {
	conn, ok := <-c
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (c callers) Close() error   { return nil }
func (c callers) Addr() net.Addr { return &net.TCPAddr{} }

type caller struct {
	net.Conn
	from string
}

func (c caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

// A bench is a tap under test, on the clock of synctest.
type bench struct {
	t     *testing.T
	tap   *Tap
	bus   *Bus
	wire  net.Conn // the device's end of the line
	calls callers
}

// onBench calls do with a tap that serves, and ends it afterwards.
func onBench(t *testing.T, cfg TapConfig, listens bool, do func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		near, wire := net.Pipe()
		bus := NewBus(&Port{conn: wireEnd{Conn: near}, baud: 9600})
		if cfg.Protocol == "" {
			cfg.Protocol = TapRaw
		}
		cfg.Hold = 2 * time.Second
		tap := NewTap(cfg, Config{Port: "wire", Baud: 9600}, bus, listens, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		b := &bench{t, tap, bus, wire, make(callers)}
		done := make(chan error)
		go func() { done <- tap.serve(ctx, b.calls) }()
		do(t, b)
		cancel()
		close(b.calls)
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		near.Close()
		wire.Close()
	})
}

// call connects a client that is shown the line.
func (b *bench) call(from string) net.Conn {
	near, far := net.Pipe()
	b.calls <- caller{far, from}
	synctest.Wait()
	return near
}

// device is what the device gets within the time of a poll, and answers.
func (b *bench) device(answer string) string {
	buf := make([]byte, 64)
	n, err := b.wire.Read(buf)
	if err != nil {
		b.t.Error(err)
	}
	if answer != "" {
		if _, err := b.wire.Write([]byte(answer)); err != nil {
			b.t.Error(err)
		}
	}
	return string(buf[:n])
}

// hear reads what has come to a client.
func hear(t *testing.T, c net.Conn) string {
	t.Helper()
	synctest.Wait()
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	got, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "timeout") {
		t.Errorf("read: %v", err)
	}
	return string(got)
}

func TestTapShowsTheLine(t *testing.T) {
	for _, both := range []bool{false, true} {
		onBench(t, TapConfig{Both: both}, true, func(t *testing.T, b *bench) {
			first, second := b.call("127.0.0.1:1"), b.call("127.0.0.1:2")
			go b.device("answer")
			err := b.bus.Exchange(t.Context(), func(p *Port) error {
				_, err := p.Write([]byte("poll "))
				if err == nil {
					_, err = p.Read(make([]byte, 64))
				}
				return err
			})
			want := map[bool]string{false: "answer", true: "poll answer"}[both]
			if got := hear(t, first); got != want || err != nil {
				t.Errorf("both %t: client sees %q, want %q; %v", both, got, want, err)
			}
			if got := hear(t, second); got != want {
				t.Errorf("both %t: the other sees %q, want %q", both, got, want)
			}
		})
	}
}

// TestTapWriterHasTheBusUntilSilence: the owner's exchange is not disturbed, and
// the client's is not either. The owner does not read between its exchanges.
func TestTapWriterHasTheBusUntilSilence(t *testing.T) {
	onBench(t, TapConfig{Write: true, Both: true}, false, func(t *testing.T, b *bench) {
		tool, other := b.call("127.0.0.1:1"), b.call("127.0.0.1:2")
		if err := b.bus.Acquire(t.Context(), Owner); err != nil {
			t.Fatal(err)
		}
		_, _ = tool.Write([]byte("ask"))
		synctest.Wait() // the tool waits
		polled := make(chan time.Time)
		go func() {
			_ = b.bus.Exchange(t.Context(), func(*Port) error { polled <- time.Now(); return nil })
		}()
		synctest.Wait() // the owner, too
		b.bus.Release()
		start := time.Now()
		if got := b.device(""); got != "ask" {
			t.Errorf("the device gets %q, want ask", got)
		}
		time.Sleep(1500 * time.Millisecond) // it thinks
		_, _ = b.wire.Write([]byte("reply"))
		time.Sleep(time.Second)
		_, _ = tool.Write([]byte("more"))
		if got := b.device("last"); got != "more" {
			t.Errorf("the device gets %q, want more", got)
		}
		tool.Close() // its bus is kept until silence all the same
		if took := (<-polled).Sub(start); took != 4500*time.Millisecond {
			t.Errorf("the owner had its turn after %v, want 2s after the last byte: 4.5s", took)
		}
		if got, want := hear(t, other), "askreplymorelast"; got != want {
			t.Errorf("the other client sees %q, want %q", got, want)
		}
	})
}

func TestTapTalkerLosesItsTurn(t *testing.T) {
	onBench(t, TapConfig{Write: true}, true, func(t *testing.T, b *bench) {
		tool := b.call("127.0.0.1:1")
		turns := make(chan time.Duration, 1)
		start := time.Now()
		for time.Since(start) < 40*time.Second {
			_, _ = tool.Write([]byte("x")) // more often than hold, for ever
			b.device("")
			if time.Since(start) == time.Second {
				go func() {
					_ = b.bus.Exchange(t.Context(), func(*Port) error { return nil })
					turns <- time.Since(start)
				}()
			}
			time.Sleep(time.Second)
		}
		select {
		case turn := <-turns:
			if turn <= longest || turn > 2*longest {
				t.Errorf("the owner had its turn after %v, want soon after %v", turn, longest)
			}
		default:
			t.Error("the owner never had its turn")
		}
	})
}

// TestTapNoiseDoesNotKeepTheBus: bytes that never end are no silence.
func TestTapNoiseDoesNotKeepTheBus(t *testing.T) {
	onBench(t, TapConfig{Write: true}, false, func(t *testing.T, b *bench) {
		tool := b.call("127.0.0.1:1")
		_, _ = tool.Write([]byte("x"))
		b.device("")
		noise, stop := context.WithCancel(t.Context())
		go func() {
			for noise.Err() == nil {
				_ = b.wire.SetWriteDeadline(time.Now().Add(time.Millisecond))
				_, _ = b.wire.Write([]byte("~"))
				time.Sleep(time.Second)
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, tool) }()
		start := time.Now()
		err := b.bus.Exchange(t.Context(), func(*Port) error { return nil })
		if took := time.Since(start); err != nil || took < longest || took > 3*longest {
			t.Errorf("the owner had its turn after %v, %v, want about %v", took, err, 2*longest)
		}
		stop()
		tool.Close()
		time.Sleep(2 * time.Second)
	})
}

func TestTapSlowReaderIsDropped(t *testing.T) {
	onBench(t, TapConfig{}, true, func(t *testing.T, b *bench) {
		slow, quick := b.call("127.0.0.1:1"), b.call("127.0.0.1:2")
		got := make(chan int)
		go func() {
			n, _ := io.CopyN(io.Discard, quick, 100*1024)
			got <- int(n)
		}()
		go func() {
			for range 100 {
				_, _ = b.wire.Write(make([]byte, 1024))
			}
		}()
		buf := make([]byte, 1024)
		for range 100 {
			if _, err := io.ReadFull(b.bus.port, buf); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := <-got; n != 100*1024 {
			t.Errorf("the quick reader got %d bytes, want all", n)
		}
		if _, err := io.ReadAll(slow); err != nil {
			t.Errorf("the slow reader: %v, want an end", err)
		}
		synctest.Wait()
		if c := b.tap.Counters(); c["tap_slow"] != 1 || c["tap_clients"] != 1 {
			t.Errorf("counters %v, want one slow, one client left", c)
		}
	})
}

func TestTapAdmits(t *testing.T) {
	onBench(t, TapConfig{Allow: []string{"192.168.1.0/24", "fd00::7"}}, true, func(t *testing.T, b *bench) {
		for _, from := range []string{"127.0.0.1:1", "192.168.2.1:1", "[fd00::8]:1"} {
			if got, err := io.ReadAll(b.call(from)); len(got) > 0 || err != nil {
				t.Errorf("%s: got %q, %v, want an end", from, got, err)
			}
		}
		for _, from := range []string{"192.168.1.9:1", "[::ffff:192.168.1.9]:1", "[fd00::7]:1"} {
			c := b.call(from)
			go func() { _, _ = b.bus.port.Read(make([]byte, 1)) }()
			_, _ = b.wire.Write([]byte("x"))
			if got := hear(t, c); got != "x" {
				t.Errorf("%s: got %q, want x", from, got)
			}
		}
		for range maxTapClients - 3 {
			b.call("192.168.1.10:1")
		}
		if got, err := io.ReadAll(b.call("192.168.1.10:1")); len(got) > 0 || err != nil {
			t.Errorf("one too many: got %q, %v, want an end", got, err)
		}
		want := map[string]uint64{"tap_clients": maxTapClients, "tap_denied": 3, "tap_full": 1, "tap_slow": 0, "tap_ignored": 0, "tap_untaken": 0}
		if diff := cmp.Diff(want, b.tap.Counters()); diff != "" {
			t.Errorf("counters (-want +got):\n%s", diff)
		}
	})
}

func TestTapToken(t *testing.T) {
	onBench(t, TapConfig{Token: "open-sesame", Write: true}, true, func(t *testing.T, b *bench) {
		for _, say := range []string{"open-sesamf\n", "\n", strings.Repeat("x", maxToken+2), ""} {
			c := b.call("127.0.0.1:1")
			if say != "" {
				_, _ = c.Write([]byte(say))
			}
			if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
				t.Errorf("token %q: got %q, %v, want an end", say, got, err)
			}
		}
		if n := b.tap.Counters()["tap_denied"]; n != 3 {
			t.Errorf("%d denied, want 3", n)
		}
		c := b.call("127.0.0.1:1")
		_, _ = c.Write([]byte("open-sesame\r\nhello"))
		if got := b.device(""); got != "hello" {
			t.Errorf("behind the token, the device gets %q, want hello", got)
		}
		c.Close()
		time.Sleep(3 * time.Second)
	})
}

func TestTapOfReadersIgnoresWriters(t *testing.T) {
	onBench(t, TapConfig{}, true, func(t *testing.T, b *bench) {
		c := b.call("127.0.0.1:1")
		_, _ = c.Write([]byte("hello"))
		synctest.Wait()
		if n := b.tap.Counters()["tap_ignored"]; n != 5 {
			t.Errorf("%d bytes ignored, want 5", n)
		}
		if err := b.bus.Acquire(t.Context(), Owner); err != nil {
			t.Errorf("the bus is not free: %v", err)
		}
	})
}

func TestTapOfALineThatTakesNothing(t *testing.T) {
	onBench(t, TapConfig{Write: true}, true, func(t *testing.T, b *bench) {
		c := b.call("127.0.0.1:1")
		_, _ = c.Write([]byte("hello")) // nobody reads the wire
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
			t.Errorf("client got %q, %v, want an end", got, err)
		}
		synctest.Wait()
		if n := b.tap.Counters()["tap_untaken"]; n != 1 {
			t.Errorf("%d untaken, want 1", n)
		}
	})
}

func TestTapAsCapture(t *testing.T) {
	onBench(t, TapConfig{Protocol: TapCapture}, true, func(t *testing.T, b *bench) {
		c := b.call("127.0.0.1:1")
		time.Sleep(1500 * time.Millisecond)
		go b.device("pong")
		_, _ = b.bus.port.Write([]byte("ping"))
		_, _ = b.bus.port.Read(make([]byte, 8))
		got := hear(t, c)
		capture, err := ReadCapture(strings.NewReader(got))
		if err != nil {
			t.Fatalf("%s\n%v", got, err)
		}
		want := []Chunk{{1500 * time.Millisecond, true, []byte("ping")}, {1500 * time.Millisecond, false, []byte("pong")}}
		if diff := cmp.Diff(want, capture.Chunks); diff != "" || capture.Line.Baud != 9600 || capture.Port != "wire" {
			t.Errorf("%s\nchunks (-want +got):\n%s", got, diff)
		}
	})
}

// TestTapByRFC2217 is over real TCP, with our client: it opens at the rate that
// the line has, and at no other.
func TestTapByRFC2217(t *testing.T) {
	near, wire := net.Pipe()
	defer near.Close()
	bus := NewBus(&Port{conn: wireEnd{Conn: near}, baud: 9600})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := TapConfig{Protocol: TapRFC2217, Write: true, Hold: long, Token: "open-sesame"}
	tap := NewTap(cfg, Config{Port: "wire", Baud: 9600}, bus, false, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tap.serve(ctx, l) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	}()

	name := "rfc2217://open-sesame@" + l.Addr().String()
	if _, err := Open(t.Context(), Config{Port: name, Baud: 19200}); err == nil || !strings.Contains(err.Error(), "cannot do 19200 baud; it has 9600") {
		t.Errorf("Open at another rate: %v", err)
	}
	p, err := Open(t.Context(), Config{Port: name, Baud: 9600})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	go func() { // the device echoes
		_, _ = io.Copy(wire, wire)
	}()
	defer wire.Close()
	_ = p.SetDeadline(time.Now().Add(long))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	if _, err := p.Write(every); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 256)
	if _, err := io.ReadFull(p, got); err != nil || string(got) != string(every) {
		t.Errorf("echo of every byte: %x, %v", got, err)
	}
}

// TestTapSetsTheLine: while the client has it, and back.
func TestTapSetsTheLine(t *testing.T) {
	near, wire := net.Pipe()
	defer near.Close()
	defer wire.Close()
	rates := make(chan int, 9)
	bus := NewBus(&Port{conn: wireEnd{near, rates}, baud: 9600})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := TapConfig{Protocol: TapRFC2217, Write: true, Line: true, Hold: 10 * time.Millisecond}
	tap := NewTap(cfg, Config{Port: "wire", Baud: 9600}, bus, false, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tap.serve(ctx, l) }()
	p, err := Open(t.Context(), Config{Port: "rfc2217://" + l.Addr().String(), Baud: 19200})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, _ = p.Write([]byte("x"))
	if _, err := wire.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if first, then := <-rates, <-rates; first != 19200 || then != 9600 {
		t.Errorf("the line was set to %d, then %d, want 19200, and 9600 again", first, then)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestTapConfig(t *testing.T) {
	for _, tt := range []struct {
		cfg  TapConfig
		want []string
	}{
		{TapConfig{Listen: "127.0.0.1:2217"}, nil},
		{TapConfig{Listen: "[::1]:2217", Write: true, Token: "12345678"}, nil},
		{TapConfig{Listen: "0.0.0.0:2217", Allow: []string{"192.168.1.0/24", "fd00::7"}}, nil},
		{TapConfig{}, []string{"listen"}},
		{TapConfig{Listen: "localhost:2217"}, []string{"listen"}},
		{TapConfig{Listen: ":2217"}, []string{"listen"}},
		{TapConfig{Listen: "0.0.0.0:2217"}, []string{"allow"}},
		{
			TapConfig{Listen: "127.0.0.1:1", Allow: []string{"::1", "all"}, Protocol: "telnet", Hold: time.Minute, Token: "short"},
			[]string{"allow[1]", "protocol", "hold", "token"},
		},
		{TapConfig{Listen: "127.0.0.1:1", Protocol: TapCapture, Write: true, Token: "with space"}, []string{"write", "token"}},
		{TapConfig{Listen: "127.0.0.1:1", Protocol: TapRFC2217, Write: true, Line: true}, nil},
		{TapConfig{Listen: "127.0.0.1:1", Protocol: TapRFC2217, Line: true}, []string{"line"}},
	} {
		cfg := tt.cfg
		if cfg.SetDefaults(); tt.cfg.Protocol == "" {
			tt.cfg.Protocol = cfg.Protocol
		}
		if tt.cfg.Hold == 0 {
			tt.cfg.Hold = cfg.Hold
		}
		var got []string
		if err := tt.cfg.Validate(); err != nil {
			for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
				field, _ := errors.AsType[*FieldError](err)
				got = append(got, field.Field)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Validate of %+v: fields (-want +got):\n%s", tt.cfg, diff)
		}
	}
}
