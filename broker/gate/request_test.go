package gate

import (
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"edge/broker/delivery"
	"edge/broker/journal"
)

// asked notes what it is asked for.
type asked struct {
	control
	seen *[]string
	kept *[]*delivery.Message
}

func (a asked) Request(m *delivery.Message, again bool) delivery.Verdict {
	text := string(m.Payload)
	if again {
		text += " again"
	}
	*a.seen, *a.kept = append(*a.seen, text), append(*a.kept, m)
	return delivery.Denied
}

// TestRequest has messages to the one topic for requests go to the Control alone,
// which may use the payload while it is called.
func TestRequest(t *testing.T) {
	client, server := net.Pipe()
	c := New(pipe{server}, engine(journal.Memory{}), limits(), slog.New(slog.DiscardHandler))
	var seen []string
	var kept []*delivery.Message
	ended := make(chan struct{})
	go func() {
		_ = c.Serve(asked{control{c}, &seen, &kept})
		close(ended)
	}()
	const topic = "0010 24434f4e54524f4c2f656467652f7631" // $CONTROL/edge/v1
	for _, step := range []struct {
		say  string
		head byte // of the answer
		at   int  // of a code in it
		want byte
	}{
		{"100d 0004 4d515454 05 02 0000 00 0000", 0x20, 3, 0},
		{"8207 0001 00 0001 23 02", 0x90, 4, 2}, // Who subscribes to all gets none of it.
		{"3217 " + topic + " 0007 00 6162", 0x40, 4, 0x87},
		{"3a17 " + topic + " 0007 00 6162", 0x40, 4, 0x87},
		{"3417 " + topic + " 0008 00 6163", 0x50, 4, 0x87},
		{"3217 0010 24434f4e54524f4c2f656467652f7632 0009 00 6164", 0x40, 4, 0x87}, // …/v2
	} {
		say(t, client, step.say)
		_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := readPacket(client)
		if err != nil || got[0] != step.head || got[step.at] != step.want {
			t.Fatalf("answer to %s: % x, %v; want type %#x, code %#x", step.say, got, err, step.head, step.want)
		}
	}
	client.Close()
	<-ended
	if want := []string{"ab", "ab again", "ac"}; !slices.Equal(seen, want) {
		t.Errorf("asked for %q, want %q", seen, want)
	}
	for _, m := range kept {
		if string(m.Payload) != "\x00\x00" {
			t.Errorf("a payload is left in memory: %q", m.Payload)
		}
	}
}
