package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A record lies on disk as a frame, little endian:
//
//	offset  bytes
//	     0      4  CRC32C of all that follows
//	     4      4  length of the body, at least 1
//	     8      4  id of the segment file
//	    12      8  sequence: 1 + that of the record before it
//	    20      4  back: how many records ago the last commit was
//	    24      1  kind
//	    25         body, see codec.go
//
// The id tells a record from an older one that lies there since the file had
// another use: files are recycled, not emptied. The sequence has no gaps, so
// that what is lost can be counted. Back says that the record with the sequence
// minus back, and all before it, were safe when this one was written: what is
// missing up to there was damaged; what is missing behind the newest such
// mark was never promised to anybody.
const (
	frameHead = 25
	frameMax  = 1 << 29 // the largest frame; an MQTT packet has less than 2^28 bytes
)

// Kinds of records that are the journal's own.
const (
	horizon Kind = 250 // body: uvarint; records with a lower sequence are not needed any more
	mark    Kind = 251 // body: 0; has the sequence of the record before it: that one is safe
)

// markSize is the size of the frame of a mark.
const markSize = frameHead + 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A head is what stands before the body of a record.
type head struct {
	crc      uint32
	length   uint32
	id       uint32
	sequence uint64
	back     uint32
	kind     Kind
}

// parseHead reads the first frameHead bytes of b.
func parseHead(b []byte) head {
	_ = b[frameHead-1]
	return head{
		crc:      binary.LittleEndian.Uint32(b),
		length:   binary.LittleEndian.Uint32(b[4:]),
		id:       binary.LittleEndian.Uint32(b[8:]),
		sequence: binary.LittleEndian.Uint64(b[12:]),
		back:     binary.LittleEndian.Uint32(b[20:]),
		kind:     Kind(b[24]),
	}
}

// size is the size of the whole frame.
func (h head) size() int64 { return frameHead + int64(h.length) }

// plausible reports whether h may be a head, with room bytes for the frame. It
// saves checksums over what obviously is none.
func (h head) plausible(room int64) bool {
	return h.length > 0 && h.size() <= min(room, frameMax) && h.id != 0 && h.kind != 0 &&
		h.sequence > 0 && h.sequence < 1<<56 && uint64(h.back) <= h.sequence
}

// proves returns the newest sequence that was safe when the record was written.
func (h head) proves() uint64 { return h.sequence - uint64(h.back) }

// beginFrame appends a head to b, but for its length and what seal sets.
func beginFrame(b []byte, sequence uint64, kind Kind) []byte {
	var h [frameHead]byte
	binary.LittleEndian.PutUint64(h[12:], sequence)
	h[24] = byte(kind)
	return append(b, h[:]...)
}

// setLength notes in the frame f, which has no more and no less than its bytes,
// how long its body is.
func setLength(f []byte) {
	binary.LittleEndian.PutUint32(f[4:], uint32(len(f)-frameHead))
}

// frameAt returns the frame at the beginning of b, which may be without seal.
func frameAt(b []byte) []byte { return b[:frameHead+binary.LittleEndian.Uint32(b[4:])] }

// kindOf returns the kind of a frame, which may be without seal.
func kindOf(f []byte) Kind { return Kind(f[24]) }

// sequenceOf returns the sequence of a frame, which may be without seal.
func sequenceOf(f []byte) uint64 { return binary.LittleEndian.Uint64(f[12:]) }

// seal makes the frame at the beginning of b one of the file with the given id,
// and returns what follows it. safe is the newest sequence that is committed.
func seal(b []byte, id uint32, safe uint64) []byte {
	f := frameAt(b)
	binary.LittleEndian.PutUint32(f[8:], id)
	binary.LittleEndian.PutUint32(f[20:], uint32(sequenceOf(f)-safe))
	binary.LittleEndian.PutUint32(f, crc32.Checksum(f[4:], castagnoli))
	return b[len(f):]
}

// intact reports whether f, a whole frame, is as it was sealed.
func intact(f []byte) bool {
	return crc32.Checksum(f[4:], castagnoli) == binary.LittleEndian.Uint32(f)
}
