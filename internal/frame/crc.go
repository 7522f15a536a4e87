package frame

import "math/bits"

// A CRC says what a cyclic redundancy check is, in the parameters of the model
// of R. Williams, "A Painless Guide to CRC Error Detection Algorithms" (1993).
// In Poly and Init the bit of the highest power is the most significant one, and
// that of the power Width is left out, as in G. Cook's catalogue of CRCs.
type CRC struct {
	Width     int    // 8, 16, 24 or 32 bits
	Poly      uint32 // the polynomial
	Init      uint32 // the register at the start
	Reflected bool   // bits go in, and out, the least significant one first
	XorOut    uint32 // is added to the result
}

// A crcTable is a CRC made ready. Its register stands at the left of 32 bits, or
// at the right where it is reflected, so that one loop does for all widths.
type crcTable struct {
	CRC
	start uint32
	table [256]uint32
}

// newCRC makes the table, which nobody has to carry in the binary.
func newCRC(c CRC) *crcTable {
	t := &crcTable{CRC: c, start: c.Init << (32 - c.Width)}
	poly := c.Poly << (32 - c.Width)
	if c.Reflected {
		t.start, poly = bits.Reverse32(t.start), bits.Reverse32(poly)
	}
	for i := range t.table {
		r := uint32(i)
		if !c.Reflected {
			r <<= 24
		}
		for range 8 {
			r = c.shift(r, poly)
		}
		t.table[i] = r
	}
	return t
}

// shift divides one bit.
func (c CRC) shift(r, poly uint32) uint32 {
	if c.Reflected {
		return r>>1 ^ poly&-(r&1)
	}
	return r<<1 ^ poly&-(r>>31)
}

// update takes b into the register.
func (t *crcTable) update(r uint32, b []byte) uint32 {
	if t.Reflected {
		for _, c := range b {
			r = r>>8 ^ t.table[byte(r)^c]
		}
		return r
	}
	for _, c := range b {
		r = r<<8 ^ t.table[byte(r>>24)^c]
	}
	return r
}

// finish returns the checksum that the register stands for.
func (t *crcTable) finish(r uint32) uint32 {
	if !t.Reflected {
		r >>= 32 - t.Width
	}
	return r ^ t.XorOut
}
