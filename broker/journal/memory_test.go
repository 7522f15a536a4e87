package journal_test

import (
	"testing"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

func TestMemory(t *testing.T) {
	journaltest.Test(t, func(testing.TB) journal.Journal { return journal.Memory{} })
}

func TestHeld(t *testing.T) {
	journaltest.Test(t, func(testing.TB) journal.Journal {
		j := new(journaltest.Held)
		j.Flow()
		return j
	})
}
