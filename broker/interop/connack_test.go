package interop

import (
	"strings"
	"testing"
)

// TestConnackTells asks for more than a server must give, and is told so
// (section 3.2.2.3).
func TestConnackTells(t *testing.T) {
	t.Parallel()
	stricter(t, "its limits are others")
	s := start(t)
	_, a := s.resume(t, login{version: v5, keep: true, props: properties{number[uint32](sessionExpiry, 0xFFFFFFFF)}})
	for id, want := range map[byte]string{
		sessionExpiry:     number[uint32](sessionExpiry, 60*24*3600).value,
		serverKeepAlive:   number[uint16](serverKeepAlive, 65535).value,
		receiveMaximum:    number[uint16](receiveMaximum, 1024).value,
		maximumPacketSize: number[uint32](maximumPacketSize, 1<<20).value,
		topicAliasMaximum: number[uint16](topicAliasMaximum, 10).value,
	} {
		if got := strings.Join(a.props.all(id), ","); got != want {
			t.Errorf("CONNACK has property %#x = %q, want %q", id, got, want)
		}
	}
	if id := a.props.text(assignedClientID); len(id) < 10 {
		t.Errorf("the client is named %q", id)
	}
	if a.props.all(responseInfo) != nil {
		t.Error("CONNACK has response information that nobody asked for")
	}
}

// TestReasonString breaks the protocol: a person learns why the connection has
// ended, where the client wants to know (section 3.1.2.11.7).
func TestReasonString(t *testing.T) {
	t.Parallel()
	stricter(t, "it has no reason strings")
	s := start(t)
	const problemInfo = 0x17
	for _, tt := range []struct {
		props properties
		want  string
	}{
		{nil, ""},
		{properties{number[uint8](problemInfo, 1)}, `topic filter "a#": a wildcard must be a whole level`},
		{properties{number[uint8](problemInfo, 0)}, ""},
		{properties{number[uint8](problemInfo, 1), number[uint32](maximumPacketSize, 40)}, ""},
	} {
		c := s.connect(t, login{version: v5, id: "c", props: tt.props})
		c.send(packet{cSUBSCRIBE, 2, append(appendString([]byte{0, 1, 0}, "a#"), 0)})
		p := c.next(cDISCONNECT)
		if p.body[0] != 0x81 || tt.want == "" && len(p.body) > 1 || !strings.Contains(string(p.body), tt.want) {
			t.Errorf("with %v DISCONNECT is % x %q, want 81 and %q", tt.props, p.body, p.body, tt.want)
		}
	}
}
