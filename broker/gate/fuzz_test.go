package gate

import (
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"edge/broker/journal"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func FuzzConnect(f *testing.F) {
	for _, s := range []string{
		connect4, connect5,
		"10 13 0004 4d515454 04 06 0000 0001 63 0001 77 0001 78",
		"10 18 0004 4d515454 05 02 0000 0a 11 00000001 26 0001 61 0000 0001 63",
		"10 1c 0004 4d515454 05 ee 003c 00 0001 63 05 18 00000001 0001 77 0001 78 0001 75 0001 70",
	} {
		f.Add(unhex(s)[2:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		k, err := decodeConnect(body, limits())
		if err != nil {
			return
		}
		if k.ClientID == "" || k.silence <= 0 || k.silence > limits().Idle {
			t.Errorf("CONNECT %x gives %+v", body, k)
		}
	})
}

func FuzzSubscribe(f *testing.F) {
	f.Add(unhex("0001 00 0001 61 00"), byte(5))
	f.Add(unhex("0001 0001 23 02"), byte(4))
	f.Fuzz(func(t *testing.T, body []byte, version byte) {
		_ = checkSubscribe(body, version, limits())
		_ = checkUnsubscribe(body, version, limits())
		_, _ = decodeDisconnect(body, version, limits())
		for _, typ := range []byte{puback, pubrec, pubrel, pubcomp} {
			if id, _, err := decodeAck(typ, body, version, limits()); err == nil && id == 0 {
				t.Errorf("packet id 0 is accepted in %x", body)
			}
		}
	})
}

// FuzzStream sends any bytes behind a CONNECT. The gate must not panic, and
// what it delivers must be what it would accept from a publisher.
func FuzzStream(f *testing.F) {
	f.Add([]byte{5}, unhex("82 07 0001 00 0001 23 02 34 07 0001 61 0007 00 78 62 02 0007"))
	f.Add([]byte{4}, unhex("82 06 0001 0001 23 02 33 06 0001 61 0007 78 e0 00"))
	f.Add([]byte{5}, unhex("30 21 0001 61 1c 01 01 03 0001 74 08 0001 72 09 0002 0001 26 0001 6e 0001 76 26 0001 6e 0000 78"))
	f.Add([]byte{5}, unhex("82 06 0001 00 0001 61"))
	f.Fuzz(func(t *testing.T, version, stream []byte) {
		hello := connect4
		if len(version) > 0 && version[0] == 5 {
			hello = connect5
		}
		e := engine(journal.Memory{})
		c := New(&replay{in: append(unhex(hello), stream...)}, e, limits(), slog.New(slog.DiscardHandler))
		c.Serve(control{c})
		if n := e.Stats().Online; n != 0 {
			t.Errorf("%d sessions are online after the end", n)
		}
	})
}

// replay is a socket whose peer has said all it has to say, and reads all.
type replay struct {
	net.Conn
	in []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.in)
	r.in = r.in[n:]
	return n, nil
}
func (*replay) Write(p []byte) (int, error)      { return len(p), nil }
func (*replay) Close() error                     { return nil }
func (*replay) SetReadDeadline(time.Time) error  { return nil }
func (*replay) SetWriteDeadline(time.Time) error { return nil }
func (*replay) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
