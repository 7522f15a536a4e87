package gate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"edge/internal/topic"
)

// Packet types (MQTT 5.0, section 2.1.2).
const (
	connect     = 1
	connack     = 2
	publish     = 3
	puback      = 4
	pubrec      = 5
	pubrel      = 6
	pubcomp     = 7
	subscribe   = 8
	suback      = 9
	unsubscribe = 10
	unsuback    = 11
	pingreq     = 12
	pingresp    = 13
	disconnect  = 14
	auth        = 15
)

// flagsOf has the reserved flags of each packet type that a client may send
// (MQTT 5.0, section 2.1.3); PUBLISH has none reserved.
var flagsOf = [16]byte{pubrel: 2, subscribe: 2, unsubscribe: 2}

// checkFlags checks the reserved flags of a packet that is neither PUBLISH nor
// CONNECT. MQTT 3.1 had DUP in packets that could be sent again (its section 2.1); it says nothing
// that we need, and is cleared for mochi, which does not know it.
func checkFlags(raw []byte, version byte) error {
	want := flagsOf[raw[0]>>4]
	if version == 3 && want != 0 {
		raw[0] &^= 8
	}
	if raw[0]&15 != want {
		return Violation{Malformed, fmt.Sprintf("flags of the fixed header are %d, not %d", raw[0]&15, want)}
	}
	return nil
}

// A cursor reads the fields of a packet. After the first field that is not
// there or not valid, err is set and all reads return zero values.
type cursor struct {
	b     []byte
	err   error
	field string // what is read, for a person who looks for his bug
}

// at names the field that is read next.
func (c *cursor) at(field string) *cursor {
	c.field = field
	return c
}

// refuse ends the reading: the field has the given fault.
func (c *cursor) refuse(r Reason, fault string) {
	if c.b = nil; c.err == nil {
		c.err = Violation{r, c.field + " " + fault}
	}
}

// check makes a value that has the right form but is not allowed a protocol
// error (section 1.2).
func (c *cursor) check(ok bool, fault string) {
	if !ok {
		c.refuse(ProtocolError, fault)
	}
}

// end expects that nothing is left to read.
func (c *cursor) end() error {
	if len(c.b) > 0 {
		c.at("packet").refuse(Malformed, "has bytes behind its end")
	}
	return c.err
}

func (c *cursor) bytes(n int) []byte {
	if len(c.b) < n {
		c.refuse(Malformed, "is cut off")
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) byte() byte {
	if v := c.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if v := c.bytes(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if v := c.bytes(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// binary reads bytes with their length before them (section 1.5.6).
func (c *cursor) binary() []byte { return c.bytes(int(c.uint16())) }

// text reads a UTF-8 string (section 1.5.4).
func (c *cursor) text() string {
	v := c.binary()
	if !validText(v) {
		c.refuse(Malformed, "is not UTF-8, or has U+0000")
		return ""
	}
	return string(v)
}

// name reads the UTF-8 string that names a client or user. One that is no text
// is refused with r.
func (c *cursor) name(r Reason) string {
	v := c.binary()
	if !validText(v) || !topic.Printable(string(v)) {
		c.refuse(r, "is not UTF-8, or has U+0000, a control character or a non-character")
		return ""
	}
	return string(v)
}

// validText reports whether v is UTF-8 without U+0000; utf8.Valid refuses
// surrogates.
func validText(v []byte) bool {
	return bytes.IndexByte(v, 0) < 0 && utf8.Valid(v)
}

// varint reads a variable byte integer in its shortest form (section 1.5.5).
func (c *cursor) varint() uint32 {
	v, n := varint(c.b)
	if n <= 0 {
		c.refuse(Malformed, "is no variable byte integer")
		return 0
	}
	c.b = c.b[n:]
	return v
}

// varint decodes a variable byte integer and returns its length: 0 if b is too
// short, negative if it is malformed.
func varint(b []byte) (v uint32, n int) {
	for i := range min(len(b), 4) {
		v |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			if i > 0 && b[i] == 0 {
				return 0, -1
			}
			return v, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}

func appendVarint(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func varintLen(v uint32) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}
