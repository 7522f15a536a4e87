package journal_test

import (
	"testing"
	"testing/synctest"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// TestFilesAreUsedAgain writes on and on what nobody needs: once there are as many
// files as it takes, no more are made, since each is filled with zeros first.
func TestFilesAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := journaltest.NewFS()
		d := start(t, fs, journal.Options{SegmentBytes: 16 << 10, MinBytes: 64 << 10})
		run := func(n int) (created int) {
			before := len(fs.Ops())
			for range n {
				if _, err := d.Append(&journal.Record{
					Kind: journal.Published, Message: &journal.Message{Topic: "t", Payload: make([]byte, 1000), QoS: 1},
					Targets: []journal.Target{{Client: "c", Sequence: 1, QoS: 1}},
				}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			for _, op := range fs.Ops()[before:] {
				if op.Kind == journaltest.OpCreate {
					created++
				}
			}
			return created
		}
		run(500)
		// Now and then two segments begin before one is freed.
		if n := run(500); n > 3 {
			t.Errorf("%d files were made for half a megabyte, which is 31 segments", n)
		}
	})
}
