package frame

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Check describes a checksum: how it is computed, of what, and where it stands.
type Check struct {
	Algorithm string `yaml:"algorithm" doc:"A CRC by its name in the catalogue (https://reveng.sourceforge.io/crc-catalogue/all.htm) such as CRC-16/MODBUS, or crc (see width), sum8, sum16, sum8-negated (two's complement, also lrc), sum8-inverted (one's complement), sum16-negated, sum16-inverted, xor or fletcher16."`
	At        *int   `yaml:"at" doc:"Where it stands, counted from 0 or, if negative, from the end of the frame; in the trailer, before the end, or last in the frame if absent."`
	From      int    `yaml:"from" doc:"The first byte that it is computed of."`
	To        *int   `yaml:"to" doc:"The byte after the last one that it is computed of; the checksum itself, or the end of the frame if that comes after it, if absent. The checksum is never part of what it is computed of."`
	Order     Order  `yaml:"order" doc:"Which byte comes first: big (if absent) or little."`
	Hex       bool   `yaml:"hex" doc:"It stands there as hexadecimal digits."`

	Width     int    `yaml:"width" doc:"For crc: 8, 16, 24 or 32 bits."`
	Poly      uint32 `yaml:"poly" doc:"For crc: the polynomial without its highest term, such as 0x1021."`
	Init      uint32 `yaml:"init" doc:"For crc: the register at the start."`
	Reflected bool   `yaml:"reflected" doc:"For crc: the least significant bit first (refin and refout)."`
	XorOut    uint32 `yaml:"xorout" doc:"For crc: what the result is combined with by exclusive or."`
}

// A summer computes a checksum in steps, of parts of a frame.
type summer interface {
	begin() uint32
	update(sum uint32, b []byte) uint32
	finish(sum uint32) uint32
}

func (t *crcTable) begin() uint32 { return t.start }

// simple is a summer that begins with nothing.
type simple struct {
	step func(sum uint32, b []byte) uint32
	end  func(sum uint32) uint32
}

func (simple) begin() uint32                        { return 0 }
func (s simple) update(sum uint32, b []byte) uint32 { return s.step(sum, b) }
func (s simple) finish(sum uint32) uint32           { return s.end(sum) }

func add(sum uint32, b []byte) uint32 {
	for _, c := range b {
		sum += uint32(c)
	}
	return sum
}

func xor(sum uint32, b []byte) uint32 {
	for _, c := range b {
		sum ^= uint32(c)
	}
	return sum
}

// fletcher is the 8-bit algorithm of RFC 1145, with sums modulo 256 as in u-blox's
// UBX: the first byte on the line is the plain sum.
func fletcher(sum uint32, b []byte) uint32 {
	first, second := byte(sum>>8), byte(sum)
	for _, c := range b {
		first += c
		second += first
	}
	return uint32(first)<<8 | uint32(second)
}

func same(sum uint32) uint32   { return sum }
func negate(sum uint32) uint32 { return -sum }
func invert(sum uint32) uint32 { return ^sum }

// A sum is a checksum that is no CRC.
type sum struct {
	name  string
	width int // bits
	simple
}

var sums = []sum{
	{"sum8", 8, simple{add, same}},
	{"sum8-negated", 8, simple{add, negate}},
	{"sum8-inverted", 8, simple{add, invert}},
	{"lrc", 8, simple{add, negate}},
	{"xor", 8, simple{xor, same}},
	{"sum16", 16, simple{add, same}},
	{"sum16-negated", 16, simple{add, negate}},
	{"sum16-inverted", 16, simple{add, invert}},
	{"fletcher16", 16, simple{fletcher, same}},
}

// algorithm returns what computes c, and its bits.
func (c *Check) algorithm() (s summer, width int, ok bool) {
	name := strings.ToLower(c.Algorithm)
	if i := slices.IndexFunc(sums, func(s sum) bool { return s.name == name }); i >= 0 {
		return sums[i].simple, sums[i].width, true
	}
	crc, ok := findCRC(name)
	if name == "crc" {
		crc, ok = CRC{c.Width, c.Poly, c.Init, c.Reflected, c.XorOut}, true
	}
	if !ok {
		return nil, 0, false
	}
	return newCRC(crc), crc.Width, true
}

func (c *Check) validate(m *mistakes) {
	if c.Order != "" && !slices.Contains(c.Order.Values(), string(c.Order)) {
		m.add("checksum.order", "%q is not one of big, little", c.Order)
	}
	custom := strings.EqualFold(c.Algorithm, "crc")
	if !custom {
		if c.Width != 0 || c.Poly != 0 || c.Init != 0 || c.XorOut != 0 || c.Reflected {
			m.add("checksum.width", "width, poly, init, reflected and xorout are for algorithm crc")
		}
		if _, _, ok := c.algorithm(); !ok {
			m.add("checksum.algorithm", "%q is not known; there are %s", c.Algorithm, strings.Join(algorithms(), ", "))
		}
		return
	}
	if c.Width%8 != 0 || c.Width < 8 || c.Width > 32 {
		m.add("checksum.width", "%d is not 8, 16, 24 or 32", c.Width)
		return
	}
	for field, v := range map[string]uint32{"poly": c.Poly, "init": c.Init, "xorout": c.XorOut} {
		if bits.Len32(v) > c.Width {
			m.add("checksum."+field, "%#x has more than %d bits", v, c.Width)
		}
	}
	if c.Poly == 0 {
		m.add("checksum.poly", "must be set for algorithm crc")
	}
}

// algorithms lists what Check.Algorithm may be.
func algorithms() (names []string) {
	for _, s := range sums {
		names = append(names, s.name)
	}
	for _, n := range catalogue {
		names = append(names, n.name)
	}
	return append(names, "crc")
}

// A checker knows the checksum of frames that are whole.
type checker struct {
	Check
	sum  summer
	size int // bytes in the frame
	tail int // bytes of the frame after the checksum, where At does not say
	text [8]byte
}

// newChecker returns the checker of a valid Spec, or nil where it has none.
func newChecker(s *Spec) *checker {
	if s.Check == nil {
		return nil
	}
	c := &checker{Check: *s.Check}
	sum, width, _ := c.algorithm()
	c.sum, c.size = sum, width/8
	if c.Hex {
		c.size *= 2
	}
	switch {
	case s.Kind == StartStop && s.Trailer > 0:
		c.tail = s.Trailer - c.size
	case s.Kind == StartStop, s.Kind == Fixed, s.Kind == Length:
		c.tail = len(s.End)
	}
	return c
}

// place returns where the checksum of a frame of n bytes stands, and the range
// that it covers. ok is false if the frame is too short to have them.
func (c *checker) place(n int) (at, from, to int, ok bool) {
	at = n - c.tail - c.size
	if c.At != nil {
		at = index(*c.At, n)
	}
	from, to = index(c.From, n), n
	switch {
	case c.To != nil:
		to = index(*c.To, n)
	case from < at:
		to = at
	}
	return at, from, to, at >= 0 && at+c.size <= n && from >= 0 && from <= to && to <= n
}

func index(i, n int) int {
	if i < 0 {
		return n + i
	}
	return i
}

const hexDigits = "0123456789ABCDEF"

// compute returns the checksum of a frame in which it has its place at at.
func (c *checker) compute(frame []byte, at, from, to int) []byte {
	sum := c.sum.begin()
	if end := at + c.size; from < end && at < to { // it leaves itself out
		sum = c.sum.update(sum, frame[from:max(from, at)])
		from = min(end, to)
	}
	sum = c.sum.finish(c.sum.update(sum, frame[from:to]))
	width := c.size
	if c.Hex {
		width /= 2
	}
	b := putNumber(c.text[:0], sum, width, c.Order)
	if !c.Hex {
		return b
	}
	for i := width - 1; i >= 0; i-- { // the first digits take the place of the last bytes
		c.text[2*i], c.text[2*i+1] = hexDigits[b[i]>>4], hexDigits[b[i]&15]
	}
	return c.text[:c.size]
}

// good reports whether the checksum of a frame is right.
func (c *checker) good(frame []byte) bool {
	at, from, to, ok := c.place(len(frame))
	if !ok {
		return false
	}
	stands := frame[at : at+c.size]
	if c.Hex && !isHex(stands) {
		return false
	}
	want := c.compute(frame, at, from, to)
	for i, b := range stands {
		if c.Hex && b >= 'a' {
			b -= 'a' - 'A'
		}
		if b != want[i] {
			return false
		}
	}
	return true
}

// fill puts the checksum into its place in a frame.
func (c *checker) fill(frame []byte) error {
	at, from, to, ok := c.place(len(frame))
	if !ok {
		return fmt.Errorf("a frame of %d bytes is too short for its checksum", len(frame))
	}
	copy(frame[at:], c.compute(frame, at, from, to))
	return nil
}

func isHex(b []byte) bool {
	for _, c := range b {
		digit := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		if !digit {
			return false
		}
	}
	return true
}

// putNumber appends v in width bytes.
func putNumber(b []byte, v uint32, width int, order Order) []byte {
	for i := range width {
		shift := width - 1 - i
		if order == Little {
			shift = i
		}
		b = append(b, byte(v>>(8*shift)))
	}
	return b
}

// number reads a number of 1 to 4 bytes.
func number(b []byte, order Order) (v uint32) {
	for i := range b {
		if order == Little {
			v |= uint32(b[i]) << (8 * i)
		} else {
			v = v<<8 | uint32(b[i])
		}
	}
	return v
}
