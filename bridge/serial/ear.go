package serial

import (
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strings"
	"time"

	"edge/internal/codec"
	"edge/internal/frame"
	"edge/internal/uart"
)

// An ear listens for one device at one rate.
type ear struct {
	device    *Device
	baud      int
	listening bool // to answers: it has been asked, or need not be
	frames    *frame.Splitter
	decode    codec.Decoder
	expect    matcher
	hello     *regexp.Regexp

	known   int    // frames that have the signs
	greeted bool   // the answer to the first question was right
	raw     []byte // the beginning of what came, for hello
	bytes   int
	parity  int // bytes whose eighth bit is even parity
	example string
}

// mostRaw bounds the beginning of an answer.
const mostRaw = 256

func newEar(d *Device, baud int) (*ear, error) {
	e := &ear{device: d, baud: baud, listening: !asked(d), frames: frame.NewSplitter(d.Serial.spec())}
	var err error
	if e.decode, err = newDecoder(d.Serial); err != nil {
		return nil, err
	}
	if d.Hello != "" {
		if e.hello, err = regexp.Compile(d.Hello); err != nil {
			return nil, err
		}
	}
	expect := (*Expect)(nil)
	if asked(d) {
		expect = d.Serial.Requests[0].Expect
	}
	e.expect, err = expect.compile()
	return e, err
}

func (e *ear) seven() bool { return e.device.Serial.DataBits == 7 }

// line returns bytes as they have to be sent by a line of eight bits.
func (e *ear) line(b []byte) []byte {
	out := slices.Clone(b)
	for i, c := range out {
		if e.seven() && e.device.Serial.Parity == uart.EvenParity && bits.OnesCount8(c)%2 != 0 {
			out[i] = c | 0x80
		}
	}
	return out
}

// feed takes what came.
func (e *ear) feed(b []byte, now time.Time) {
	if !e.listening {
		return
	}
	b = slices.Clone(b)
	for i, c := range b {
		e.bytes++
		if bits.OnesCount8(c)%2 == 0 {
			e.parity++
		}
		if e.seven() {
			b[i] = c & 0x7f
		}
	}
	if room := mostRaw - len(e.raw); room > 0 {
		e.raw = append(e.raw, b[:min(room, len(b))]...)
	}
	if e.hello != nil && e.hello.Match(e.raw) {
		e.greeted = true
	}
	e.frames.Feed(b, now, e.frame)
}

func (e *ear) frame(f []byte) {
	get, err := e.decode(f)
	if err != nil || !e.expect(f) {
		return
	}
	var said []string
	for _, key := range e.device.Sign {
		v, ok := get(key)
		if !ok || v.Text == "" && v.Trouble == "" {
			return
		}
		said = append(said, key+" "+strings.TrimSpace(v.Text+" "+v.Unit))
	}
	e.known++
	e.example = strings.Join(said, ", ")
}

// sure returns how sure it is that the device speaks, in per cent. A checksum is
// seldom right by chance, and so is an answer to what was asked; a line of text
// that looks right may be another's.
func (e *ear) sure() int {
	checked := e.device.Serial.Framing != nil && (e.device.Serial.Framing.Check != nil || e.device.Serial.Framing.Kind == frame.SML) ||
		e.device.Serial.Format == NMEA
	switch {
	case e.seven() && e.parity < e.bytes*9/10:
		return 0 // eight bits
	case e.greeted:
		return 95
	case e.known == 0:
		return 0
	case checked:
		return 99
	case asked(e.device), e.seven():
		return 95
	case e.known == 1:
		return 80
	}
	return 95
}

// why says what was understood.
func (e *ear) why() string {
	if e.known == 0 {
		return "it answers as it should"
	}
	return fmt.Sprintf("it says %s", e.example)
}
