package gate

import (
	"encoding/hex"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/broker/journal"
)

// counted runs a connection whose client sends packets, and closes when it has
// received n. It returns what the gate counted, and what the client received.
func counted(t *testing.T, packets string, n uint64) (got Counts, received Traffic) {
	t.Helper()
	client, server := net.Pipe()
	l := limits()
	c := New(pipe{server}, engine(journal.Memory{}), l, slog.New(slog.DiscardHandler))
	ended := make(chan struct{})
	go func() {
		_ = c.Serve(control{c})
		close(ended)
	}()
	say(t, client, packets)
	for received.Packets < n {
		raw, err := readPacket(client)
		if err != nil {
			break
		}
		received.Packets++
		received.Bytes += uint64(len(raw))
		if raw[0]>>4 == publish {
			p, err := decodePublish(raw[0]>>1&3, raw[2:], 4, limits())
			if err != nil {
				t.Fatal(err)
			}
			received.Messages[raw[0]>>1&3]++
			received.Payload += uint64(len(p.payload))
		}
	}
	client.Close()
	<-ended
	return l.Counters.Counts(), received
}

// TestCounts compares what the gate counts with what its client sent and
// received.
func TestCounts(t *testing.T) {
	packets := []string{
		connect4, "82 06 0001 0001 23 02", // subscribe to # with QoS 2
		"30 06 0001 61 786179", "30 05 0001 61 7879", "32 06 0001 61 0001 7a",
		"34 05 0001 61 0002", "62 02 0002", // an empty one, and its PUBREL
		"32 07 0002 2478 0003 79", // to $x: not accepted
		"c0 00",
	}
	got, received := counted(t, strings.Join(packets, ""), 11)
	raw, _ := hex.DecodeString(strings.ReplaceAll(strings.Join(packets, ""), " ", ""))
	want := Counts{
		Received: Traffic{
			Bytes: uint64(len(raw)), Packets: uint64(len(packets)), Messages: [3]uint64{2, 2, 1}, Payload: 3 + 2 + 1 + 1, Refused: 1,
		},
		Sent: received, Sockets: 1, Connects: 1, Accepted: 1, Maximum: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the gate counted otherwise than its client (-client +gate):\n%s", diff)
	}
	if received.Messages != [3]uint64{2, 1, 1} || received.Packets != 11 {
		t.Errorf("the client received %+v, want the messages and all answers", received)
	}
}

func TestCountsOfRefusedConnections(t *testing.T) {
	tests := []struct {
		name, packets string
		want          Counts
	}{
		{"not MQTT", "47455420", Counts{Sockets: 1, Refused: 1}},
		{"wrong version", "10 0d 0004 4d515454 09 02 0000 0001 63", Counts{Sockets: 1, Connects: 1, Refused: 1}},
		{"too large before login", "10 ff07", Counts{Sockets: 1, Refused: 1, TooLarge: 1}},
		{"too large after it", connect4 + "30 ffff7f", Counts{Sockets: 1, Connects: 1, Accepted: 1, Maximum: 1, TooLarge: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := counted(t, tt.packets, 100)
			got.Received, got.Sent = Traffic{}, Traffic{}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMaximum keeps the most that were connected at once.
func TestMaximum(t *testing.T) {
	var c Counters
	c.accept()
	c.accept()
	c.end(true)
	c.end(true)
	c.accept()
	c.end(false)
	if n := c.Counts(); n.Maximum != 2 || n.Connected != 1 || n.Accepted != 3 || n.Refused != 1 {
		t.Errorf("counts are %+v, want at most 2 connected, 1 now, 3 accepted, 1 refused", n)
	}
}

// TestCountPackets must not read beyond what is there.
func TestCountPackets(t *testing.T) {
	for b, want := range map[string]uint64{
		"": 0, "\xd0\x00": 1, "\xd0\x00\x40\x02\x00\x01": 2, "\x30\x80\x01" + strings.Repeat("x", 128): 1,
		"\x30": 0, "\x30\x02x": 0, "\xd0\x00\x30\x80": 1,
	} {
		var n count
		if n.packets([]byte(b)); n.Packets != want {
			t.Errorf("%x: %d packets, want %d", b, n.Packets, want)
		}
	}
}
