package load

import (
	"encoding/binary"
	"fmt"
	"time"
)

// markSize is the length of a mark in bytes, and so the shortest payload.
const markSize = 16

// A mark begins every payload. It says whose message it is, the how manieth of
// its publisher, and when it was sent.
//
//	publisher:4 | sequence:4 | nanoseconds since epoch:8
type mark struct {
	publisher uint32
	seq       uint32
	sent      time.Duration // since epoch
}

// epoch is when the process began; times since then are monotonic.
var epoch = time.Now()

func (m mark) put(payload []byte) {
	binary.BigEndian.PutUint32(payload, m.publisher)
	binary.BigEndian.PutUint32(payload[4:], m.seq)
	binary.BigEndian.PutUint64(payload[8:], uint64(m.sent))
}

func parseMark(payload []byte) (mark, error) {
	if len(payload) < markSize {
		return mark{}, fmt.Errorf("payload of %d bytes is not one of ours", len(payload))
	}
	return mark{
		publisher: binary.BigEndian.Uint32(payload),
		seq:       binary.BigEndian.Uint32(payload[4:]),
		sent:      time.Duration(binary.BigEndian.Uint64(payload[8:])),
	}, nil
}
