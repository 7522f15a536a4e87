package journal

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// A Life is what a journal has written since it was made, by all processes: what
// a card wears by.
type Life struct {
	Since    time.Time // when counting began; zero: not yet, since the clock was not set
	Written  int64     // bytes, in the whole blocks of 4 KiB that a disk is given
	Appended int64     // bytes of records, without those that the cleaner moved
}

// A ledger is a Life on disk. It follows each copy of a label, little endian:
//
//	offset  bytes
//	    56      8  since: Unix time in seconds
//	    64      8  written
//	    72      8  appended
//	    80      4  CRC32C of these
//
// What was written after the newest label is found in the records behind it.
type ledger struct{ since, written, appended int64 }

const ledgerSize = 28

// clockIsSet is a time before which no clock is right: a board without a battery
// wakes up in 1970.
var clockIsSet = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func (l ledger) append(b []byte) []byte {
	n := len(b)
	for _, v := range []int64{l.since, l.written, l.appended} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[n:], castagnoli))
}

// parseLedger reads what append wrote; anything else is a ledger that was not
// begun.
func parseLedger(b []byte) ledger {
	if len(b) < ledgerSize || crc32.Checksum(b[:ledgerSize-4], castagnoli) != binary.LittleEndian.Uint32(b[ledgerSize-4:]) {
		return ledger{}
	}
	v := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[8*i:])) }
	return ledger{since: v(0), written: v(1), appended: v(2)}
}

func (l ledger) life() Life {
	if l.since == 0 {
		return Life{}
	}
	return Life{Since: time.Unix(l.since, 0), Written: l.written, Appended: l.appended}
}

// balance returns the ledger of now. It begins when the clock is set. The caller
// holds mu.
func (d *Disk) balance(now time.Time) ledger {
	written, appended := d.count.Blocks, -d.count.Kept
	for _, t := range d.count.Appended {
		appended += int64(t.Bytes)
	}
	if d.past.since == 0 {
		if now.Before(clockIsSet) {
			return ledger{}
		}
		d.past = ledger{since: now.Unix(), written: -written, appended: d.pending() - appended}
	}
	return ledger{d.past.since, d.past.written + written, d.past.appended + appended}
}

// balanceAt returns the ledger for the label that c is written behind: what is
// not written yet is found there. The caller holds mu.
func (d *Disk) balanceAt(c *chunk, now time.Time) ledger {
	l := d.balance(now)
	if l.since == 0 || d.flight == nil {
		return l
	}
	l.appended -= int64(d.open.bytes)
	behind := false
	for i := range d.flight.chunks {
		o := &d.flight.chunks[i]
		if behind = behind || o == c; behind {
			l.appended -= int64(len(o.buf))
		} else {
			l.written += o.blocks()
		}
	}
	return l
}

// inBlocks returns the bytes of all blocks that the bytes from offset from up to
// offset to lie in.
func inBlocks(from, to int64) int64 { return (to+block-1)&^(block-1) - from&^(block-1) }

// blocks returns what the disk has to write for b.
func (b *batch) blocks() (n int64) {
	for i := range b.chunks {
		n += b.chunks[i].blocks()
	}
	return n
}

func (c *chunk) blocks() int64 { return inBlocks(int64(c.offset), int64(c.offset)+int64(len(c.buf))) }

// A wear adds up what was written behind a label. Records that were written with
// one flush prove the same.
type wear struct {
	l        ledger
	safe     uint64
	from, to int64
}

func (w *wear) add(f found) {
	if p := f.proves(); p != w.safe || f.offset != w.to {
		w.flush()
		w.safe, w.from = p, f.offset
	}
	w.to = f.offset + f.size()
	if f.kind != mark {
		w.l.appended += f.size()
	}
}

func (w *wear) flush() {
	w.l.written += inBlocks(w.from, w.to)
	w.from = w.to
}

// recall takes the ledger of the newest label over, and what w found behind it.
func (d *Disk) recall(w *wear) {
	var newest label
	for _, l := range d.labels {
		if l.number > newest.number {
			newest = l
		}
	}
	if d.past = newest.ledger; d.past.since == 0 {
		return
	}
	w.flush()
	d.past.written += w.l.written + block // and the label
	d.past.appended += w.l.appended
}
