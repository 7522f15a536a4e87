package journal_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// sameIDs takes a list of identifiers that is empty for none.
var sameIDs = cmp.FilterValues(func(a, b []uint32) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())

// FuzzRecord reads bodies of records that anybody may have written: a backup comes
// from elsewhere, and its checksums are right. What is read is written so that it
// reads the same.
func FuzzRecord(f *testing.F) {
	for _, r := range journaltest.Records() {
		f.Add(byte(r.Kind), journal.AppendBody(nil, r))
	}
	f.Add(byte(journal.Published), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		r, err := journal.Decode(journal.Kind(kind), body)
		if err != nil {
			return
		}
		b := journal.AppendBody(nil, r)
		if len(b) > len(body) {
			t.Errorf("%x is written as %x, which is longer", body, b)
		}
		again, err := journal.Decode(r.Kind, b)
		if diff := cmp.Diff(r, again, sameIDs); err != nil || diff != "" {
			t.Errorf("%x is written as %x: %v\n%s", body, b, err, diff)
		}
	})
}
