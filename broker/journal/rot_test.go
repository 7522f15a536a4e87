package journal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// A reading is what Replay finds in a store.
type reading struct {
	records []string
	places  []journal.Place
	report  journal.Report
	log     bytes.Buffer
}

// read opens the store in fs. It must be possible, whatever is in there, unless
// nothing can be read.
func read(t testing.TB, fs journal.FS) *reading {
	t.Helper()
	r := new(reading)
	d, err := journal.Open(fs, small(), slog.New(slog.NewTextHandler(&r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close(context.Background()) }()
	var key []byte
	r.report, err = d.Replay(func(rec *journal.Record) {
		key = appendKey(key[:0], rec)
		r.records = append(r.records, string(key))
		r.places = append(r.places, rec.Place)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// appendKey appends all that r says.
func appendKey(b []byte, r *journal.Record) []byte {
	b = append(append(b, byte(r.Kind)), r.Client...)
	for _, v := range []uint64{uint64(r.Expiry), r.Sequence, uint64(r.PacketID), uint64(r.Delay), uint64(r.Since)} {
		b = binary.AppendUvarint(b, v)
	}
	b = fmt.Append(append(b, r.Subscription.Filter...), r.Subscription.QoS)
	if m := r.Message; m != nil {
		b = append(append(append(b, m.Topic...), m.Payload...), m.QoS)
	}
	for _, t := range r.Targets {
		b = binary.AppendUvarint(append(append(b, t.Client...), t.QoS), t.Sequence)
	}
	return b
}

// TestBitRot flips bits in every byte of a store, and cuts its files off at every
// byte. What is lost is what was hit, and it is reported where.
func TestBitRot(t *testing.T) {
	fs := ancient(t)
	whole := read(t, fs)
	if whole.report.Lost > 0 || whole.report.Segments < 4 {
		t.Fatalf("the store is %+v", whole.report)
	}
	for _, name := range fs.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotten, good := fs.Clone(), fs.Bytes(name)
			for off := range good {
				for _, flip := range []byte{1 << (off % 8), 0xff} {
					b := bytes.Clone(good)
					b[off] ^= flip
					rotten.SetBytes(name, b)
					checkFlip(t, whole, read(t, rotten), name, int64(off))
				}
				rotten.SetBytes(name, good[:off])
				checkCut(t, whole, read(t, rotten), name, off)
			}
		})
	}
}

// ancient returns a store in several segments, with records of all kinds.
func ancient(t *testing.T) *journaltest.FS {
	fs := journaltest.NewFS()
	o := small()
	o.MinBytes = 1 << 20 // or it depends on the cleaner's luck how many there are
	d := start(t, fs, o)
	for n := range 15 {
		for _, r := range journaltest.Records() {
			r.Sequence += uint64(n)
			if r.Message != nil {
				m := *r.Message
				m.Payload = fmt.Appendf(bytes.Clone(m.Payload), "%d%s", n, strings.Repeat("x", 10*n))
				r.Message = &m
			}
			if _, err := d.Append(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return fs
}

// missing returns the indices of the records of whole that are not in r. Nothing
// else may be in r, and the order must be the same.
func missing(t *testing.T, whole, r *reading) (lost []int) {
	t.Helper()
	i := 0
	for n, rec := range whole.records {
		if i < len(r.records) && r.records[i] == rec {
			i++
		} else {
			lost = append(lost, n)
		}
	}
	if i < len(r.records) {
		t.Fatalf("record %q was never written, or not there", r.records[i])
	}
	return lost
}

// checkFlip checks what is left when the byte at off was changed.
func checkFlip(t *testing.T, whole, r *reading, name string, off int64) {
	t.Helper()
	lost := missing(t, whole, r)
	if uint64(len(lost)) > r.report.Lost || len(lost) > 1 {
		t.Fatalf("byte %d: records %v are lost, %+v", off, lost, r.report)
	}
	// If a horizon was hit, what it said is not needed seems to be missing, too.
	d := slices.DeleteFunc(slices.Clone(r.report.Damages), func(d journal.Damage) bool { return d.File == "" })
	if len(d) == 0 {
		return
	}
	at := d[0]
	if len(d) > 1 || at.Lost > 1 {
		t.Fatalf("byte %d: reported are %v", off, d)
	}
	if at.File != name || off < at.Offset || off >= at.Offset+at.Bytes || !strings.Contains(r.log.String(), "damaged") {
		t.Fatalf("byte %d of %s: reported is %v, logged %s", off, name, at, &r.log)
	}
	if len(lost) > 0 && uint32(whole.places[lost[0]]) != uint32(at.Offset) {
		t.Fatalf("byte %d: the record at %x is lost, reported is %v", off, whole.places[lost[0]], at)
	}
}

// checkCut checks what is left when the file is cut off at n: records in front of
// that. Nothing may tell how many there were behind it, if they were the newest.
func checkCut(t *testing.T, whole, r *reading, name string, n int) {
	t.Helper()
	lost := missing(t, whole, r)
	if len(lost) == 0 {
		return
	}
	first, last := lost[0], lost[len(lost)-1]
	segment := func(i int) journal.Place { return whole.places[i] >> 32 }
	if segment(first) != segment(last) || last-first+1 != len(lost) {
		t.Fatalf("cut at %d: records %v are lost", n, lost)
	}
	if next := first + 1; next < len(whole.records) && segment(next) == segment(first) && int(uint32(whole.places[next])) <= n {
		t.Fatalf("cut at %d: record %d in front of that is lost", n, first)
	}
	if last < len(whole.records)-1 && uint64(len(lost)) > r.report.Lost {
		t.Fatalf("cut %s at %d: records %v are lost, %+v", name, n, lost, r.report)
	}
}
