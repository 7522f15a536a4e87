package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A segment file begins with its label, twice: one bad sector does not lose it.
// The label is little endian:
//
//	offset  bytes
//	     0      8  "edge seg"
//	     8      4  version of the format: 1
//	    12      4  id of the file, random; 0 is a file that was prepared and not used yet
//	    16      8  number: labels are written in this order
//	    24      8  first: the lowest sequence of the records in it
//	    32      8  safe: the newest sequence that was committed when the label was made
//	    40      8  horizon: the lowest sequence that was still needed then
//	    48      4  start: the offset of the first record
//	    52      4  CRC32C of all that stands before
//	    56     28  a ledger, which says how much was written; see there
//
// The label is written with the first records, and is safe when they are.
const (
	labelMagic   = "edge seg"
	labelVersion = 1
	labelSize    = 56
	labelCopy    = 512        // where the second one is
	labelArea    = 1024       // where records may begin
	minSegment   = 4 << 10    // bytes
	maxSegment   = 1 << 30    // bytes; a Place has 32 bits for the offset
	block        = 4096       // sizes of segments are multiples of it
	slotPrefix   = "segment-" // of names of files
	slotSuffix   = ".log"
)

type label struct {
	id      uint32
	number  uint64
	first   uint64
	safe    uint64
	horizon uint64
	start   uint32
	ledger  ledger
}

// area returns the beginning of a segment file with label l.
func (l label) area() []byte {
	b := make([]byte, 0, labelArea)
	b = append(b, labelMagic...)
	b = binary.LittleEndian.AppendUint32(b, labelVersion)
	b = binary.LittleEndian.AppendUint32(b, l.id)
	for _, v := range []uint64{l.number, l.first, l.safe, l.horizon} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, l.start)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	b = l.ledger.append(b)
	area := b[:labelArea]
	copy(area[labelCopy:], b)
	return area
}

// parseLabel reads one copy of a label. newer reports that it is intact and of
// a version that this program does not know.
func parseLabel(b []byte) (l label, ok, newer bool) {
	if len(b) < labelSize || string(b[:8]) != labelMagic ||
		crc32.Checksum(b[:labelSize-4], castagnoli) != binary.LittleEndian.Uint32(b[labelSize-4:]) {
		return label{}, false, false
	}
	if binary.LittleEndian.Uint32(b[8:]) != labelVersion {
		return label{}, false, true
	}
	return label{
		id:      binary.LittleEndian.Uint32(b[12:]),
		number:  binary.LittleEndian.Uint64(b[16:]),
		first:   binary.LittleEndian.Uint64(b[24:]),
		safe:    binary.LittleEndian.Uint64(b[32:]),
		horizon: binary.LittleEndian.Uint64(b[40:]),
		start:   binary.LittleEndian.Uint32(b[48:]),
		ledger:  parseLedger(b[labelSize:]),
	}, true, false
}

// A slot is a segment file, whatever it is used for.
type slot struct {
	name     string
	size     int64
	file     File
	writable bool // file is open for writing, too
	halved   bool // one copy of its label is damaged
	bad      bool // the disk reported an error for it: it is not used again
}

// A segment is a part of the log. Its records may lie in several files: where
// writing to one failed, the next one goes on at the same offset, so that
// places stay what they are.
type segment struct {
	number  uint32 // in places
	size    int64
	first   uint64 // the lowest sequence
	end     uint32 // offset behind the last record
	extents []extent
	readers int  // Loads in progress
	freed   bool // not part of the log any more; the last reader gives the files away

	begun    uint64 // number of its label
	replayed bool   // an older process wrote it
	intact   uint64 // records that Replay found in it
}

// An extent is the part of a segment that lies in one file.
type extent struct {
	from uint32 // the offset where it begins; it ends where the next one begins
	slot *slot
	id   uint32
}

// at returns the extent of an offset, or nil if it has no file yet.
func (s *segment) at(offset uint32) *extent {
	for i := len(s.extents) - 1; i >= 0; i-- {
		if s.extents[i].from <= offset {
			return &s.extents[i]
		}
	}
	return nil
}

// until returns the offset where the extent with index i ends.
func (s *segment) until(i int) int64 {
	if i+1 < len(s.extents) {
		return int64(s.extents[i+1].from)
	}
	return s.size
}

// A window reads a file in pieces. What cannot be read is zeros: a bad sector
// must cost no more than its records.
type window struct {
	r   io.ReaderAt
	end int64 // nothing behind it is read
	b   []byte
	off int64 // of b
	buf []byte
}

const windowSize = 256 << 10

// at returns n bytes at off, fewer at the end. They are valid until the next
// call.
func (w *window) at(off int64, n int64) []byte {
	n = min(n, w.end-off)
	if n <= 0 {
		return nil
	}
	if off < w.off || off+n > w.off+int64(len(w.b)) {
		w.fill(off, min(max(n, windowSize), w.end-off))
	}
	return w.b[off-w.off:][:n]
}

func (w *window) fill(off, n int64) {
	if int64(cap(w.buf)) < n {
		w.buf = make([]byte, n)
	}
	w.b, w.off = w.buf[:n], off
	if m, err := w.r.ReadAt(w.b, off); err == nil || m == len(w.b) {
		return
	}
	// Sector by sector: what is behind a bad one is still needed.
	for n > 0 {
		b := w.b[int64(len(w.b))-n:]
		b = b[:min(int64(len(b)), 512-off%512)]
		if m, err := w.r.ReadAt(b, off); err != nil && m < len(b) {
			clear(b[m:])
		}
		off, n = off+int64(len(b)), n-int64(len(b))
	}
}

// index returns the first offset from off on where sep is, or -1.
func (w *window) index(off int64, sep []byte) int64 {
	for {
		b := w.at(off, windowSize)
		if i := bytes.Index(b, sep); i >= 0 {
			return off + int64(i)
		}
		if off+int64(len(b)) >= w.end || len(b) <= len(sep) {
			return -1
		}
		off += int64(len(b) - len(sep) + 1)
	}
}
