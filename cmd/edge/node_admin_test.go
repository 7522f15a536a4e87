package main

import (
	"log/slog"
	"os"
	"regexp"
	"slices"
	"testing"

	"edge/bridge/bridgetest"
	"edge/broker"
)

// TestAdminPage has the page list the commands that there are.
func TestAdminPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, there []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z ]+)` \\|").FindAllSubmatch(page, -1) {
		listed = append(listed, string(row[1]))
	}
	for name := range adminCommands {
		there = append(there, name)
	}
	slices.Sort(listed)
	slices.Sort(there)
	if !slices.Equal(listed, there) {
		t.Errorf("docs/admin.md has the commands\n%q, and there are\n%q", listed, there)
	}
}

// TestAdminUnlock breaks a lock in the name of the hub, and says who has wanted that.
func TestAdminUnlock(t *testing.T) {
	s, l := new(fakeServer), auditLog{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	m := newAdministrator(nil, l, nil)
	m.begin(s)
	r := &broker.Request{Command: "unlock", Topic: "edge/workshop/porch/light", Who: "otto"}
	if _, err := m.Administer(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	bridgetest.Expect(t, &s.memory, "edge/workshop/porch/light/set", `{"unlock":true}`)
	for _, topic := range []string{"", "edge/workshop", "edge/workshop/porch/+"} {
		if _, err := m.Administer(t.Context(), &broker.Request{Command: "unlock", Topic: topic, Who: "otto"}); err == nil {
			t.Errorf("unlock of %q returns no error", topic)
		}
	}
	if lines, _, err := l.read(); err != nil || len(lines) != 4 || lines[0].What != "output unlocked" || lines[0].Who != "otto" {
		t.Errorf("the audit has %+v, %v; want that otto has unlocked it, and three times in vain", lines, err)
	}
}
