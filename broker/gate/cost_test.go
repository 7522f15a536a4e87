package gate

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"edge/broker/journal"
)

// TestDecodersDoNotAllocate has the packets of message flows: their decoders are
// run for each message.
func TestDecodersDoNotAllocate(t *testing.T) {
	lim, body := limits(), unhex("0001 61 0001 00 78")
	ack, reason := unhex("0001"), unhex("0001 10")
	raw := unhex("62 02 0001")
	for name, decode := range map[string]func() error{
		"PUBLISH":            func() error { _, err := decodePublish(1, body, 5, lim); return err },
		"PUBACK":             func() error { _, _, err := decodeAck(puback, ack, 5, lim); return err },
		"PUBREC with reason": func() error { _, _, err := decodeAck(pubrec, reason, 5, lim); return err },
		"flags of PUBREL":    func() error { return checkFlags(raw, 5) },
	} {
		if err := decode(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = decode() }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// TestConnectAllocatesWhatItIs sends CONNECTs that could make much of little.
func TestConnectAllocatesWhatItIs(t *testing.T) {
	const size = 16 << 10
	lim := limits()
	lim.UserProperties = 64
	for _, packet := range []string{
		`10 .. "MQTT" 05 02 003c { 2600000000*3200 } "c"`,
		`10 .. "MQTT" 05 06 003c { 2600000000*64 } "c" { 2600000000*64 } "w" 3a98 61*15000`,
		`10 .. "MQTT" 05 c2 003c {} 0fa0 61*4000 0fa0 61*4000 0fa0 61*4000`,
		`10 .. "MQTT" 05 06 003c {} "c" { 01 01 09 1388 61*5000 03 1388 61*5000 } "w" 1388 61*5000`,
		`10 .. 3a98 61*15000 05`,
		`10 .. "MQTT" 05 06 003c {} "c" {} 3a98 2b*15000 "x"`,
	} {
		body := bodyOf(assemble(t, packet))
		if len(body) > size {
			t.Fatalf("%s has %d bytes, more than a CONNECT may have", packet, len(body))
		}
		var before, after runtime.MemStats
		const runs = 50
		runtime.ReadMemStats(&before)
		for range runs {
			_, _ = decodeConnect(body, lim)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > 2*size {
			t.Errorf("%s makes %d bytes of %d", strings.TrimSpace(packet), n, len(body))
		}
	}
}

// TestAnnouncedIsNotAllocated begins packets that would be long: a client gets
// memory for what it sends, and not for what it says it will.
func TestAnnouncedIsNotAllocated(t *testing.T) {
	const allowed = 4 << 10
	for _, head := range []string{"30 64 00", "30 e0d403 00", "30 c0843d 00"} { // 100 bytes, 60 000, 1 000 000
		c := New(&replay{in: unhex(head)}, engine(journal.Memory{}), limits(), slog.New(slog.DiscardHandler))
		c.connect, c.in.packetLimit = new(Connect), 1<<20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := c.packet()
		runtime.ReadMemStats(&after)
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, want the end of the input", head, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > allowed {
			t.Errorf("%s: %d bytes were allocated, want at most %d", head, n, allowed)
		}
	}
}
