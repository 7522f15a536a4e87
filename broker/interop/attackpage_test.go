package interop

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const attacksFile = "../../docs/attacks.md"

// TestAttacksPage checks that docs/attacks.md has a row for each attack, and no
// others. The figures are those of the machine on which it was made.
func TestAttacksPage(t *testing.T) {
	b, err := os.ReadFile(attacksFile)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "|---|")
	_, table, _ = strings.Cut(table, "\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	for i, x := range attacks() {
		if i >= len(rows) || !strings.HasPrefix(rows[i], x.head()) {
			t.Fatalf("%s has no row %q at its place: go test ./broker/interop -run 'TestAttacks$' -update", attacksFile, x.head())
		}
	}
	if n := len(attacks()); len(rows) != n {
		t.Errorf("%s has %d rows, want %d", attacksFile, len(rows), n)
	}
}

func (x attack) head() string { return fmt.Sprintf("| %d | %s |", x.number, x.name) }

// row is the line of the table. What is beyond a budget is in bold.
func (r *report) row() string {
	gone, attackers := "", 0
	for _, n := range r.fates {
		attackers += n
	}
	if attackers > 0 {
		gone = figure(millis(r.gone), r.gone > budgetGone)
	}
	return fmt.Sprintf("%s %d | %s | %s | %s | %s |", r.head(), attackers,
		strings.Join(slices.Sorted(maps.Keys(r.fates)), ", "), gone,
		figure(fmt.Sprintf("%.1f MiB", float64(r.growth)/(1<<20)), r.growth > budgetMemory),
		figure(millis(r.p99()), r.p99() > budgetLap))
}

func figure(s string, beyond bool) string {
	if beyond {
		return "**" + s + "**"
	}
	return s
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

const attacksHead = `# Attacks

What strangers may try, and what it did. Each row is a run of the program with GOMEMLIMIT=128MiB and, where the machine allows it,
in a cgroup of 256 MiB, with its default limits unless the test says otherwise; an attack lasts for half a second at least. Meanwhile
a bystander publishes to itself at QoS 1, 200 times a second, and nothing of that may be lost. Budgets for each attack: the broker
lives and serves, its memory grows by 32 MiB at most, 99 of 100 messages of the bystander arrive within 50 ms, and the attacker is gone
within 5 s, with the right reason code; and no more than 32 KiB are logged. What is beyond its budget is in bold.

- **what became of them**: a reason code in CONNACK or DISCONNECT, after which the connection was closed; *closed* without a word, as
  MQTT 3.1.1 has it, and where the peer has not spoken MQTT; *SUBACK 0x8f*, a client that was refused something and may stay; *served*,
  one who did what clients may do.
- **gone after**: the longest time from the attack to the end of the connection, or to the answer for those who may stay.

` + "`go test ./broker/interop -run 'TestAttacks$' -update` makes this page. Memory, life and reason codes fail the test; times fail it\n" +
	"only far beyond their budgets, since a machine may have more to do." + `

| | attack | attackers | what became of them | gone after | memory | p99 of the bystander |
|---|---|---|---|---|---|---|
`

// writeAttacks writes the page for people.
func writeAttacks(t testing.TB, reports []*report) {
	t.Helper()
	page := attacksHead
	for _, r := range reports {
		page += r.row() + "\n"
	}
	if err := os.WriteFile(attacksFile, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}
