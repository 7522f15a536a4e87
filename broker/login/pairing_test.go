package login

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPairing(t *testing.T) {
	const wrong = "baba baba baba baba baba baba"
	tests := []struct {
		name  string
		tries int // wrong ones
		after time.Duration
		write func(string) string
		want  string // "" is paired
	}{
		{"at once", 0, 0, nil, ""},
		{"in capitals", 0, 0, strings.ToUpper, ""},
		{"with dashes", 0, 0, func(s string) string { return strings.ReplaceAll(s, " ", "-") }, ""},
		{"in one word, with a line feed", 0, 0, func(s string) string { return strings.ReplaceAll(s, " ", "") + "\n" }, ""},
		{"late", 0, PairingTime - 1, nil, ""},
		{"too late", 0, PairingTime, nil, "no longer valid"},
		{"at the last try", PairingTries - 1, 0, nil, ""},
		{"after too many", PairingTries, 0, nil, "no longer valid"},
		{"cut off", 0, 0, func(s string) string { return s[:24] }, "tries left: 4"},
		{"with more", 0, 0, func(s string) string { return s + " ba" }, "tries left: 4"},
		{"nothing", 0, 0, func(string) string { return "" }, "tries left: 4"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			p, code := NewPairing()
			used := 0
			use := func() error { used++; return nil }
			for range tt.tries {
				if p.Redeem(NewSecret(wrong), use) == nil {
					t.Fatal("paired with a wrong code")
				}
			}
			time.Sleep(tt.after)
			text := code.Reveal()
			if tt.write != nil {
				text = tt.write(text)
			}
			err := p.Redeem(NewSecret(text), use)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			if err == nil && !errors.Is(p.Redeem(code, use), ErrPairingOver) {
				t.Errorf("%s: the code is good twice", tt.name)
			}
			if want := tt.want == ""; used > 1 || (used == 1) != want {
				t.Errorf("%s: it was used %d times", tt.name, used)
			}
		})
	}
}

// TestPairingAgain has a code that was right stay good, as long as there are tries,
// if nothing came of it.
func TestPairingAgain(t *testing.T) {
	p, code := NewPairing()
	failed := errors.New("the disk is full")
	for range PairingTries - 1 {
		if err := p.Redeem(code, func() error { return failed }); !errors.Is(err, failed) {
			t.Fatalf("%v, want the error of its use", err)
		}
	}
	if _, tries := p.Left(); tries != 1 {
		t.Errorf("%d tries are left, want 1", tries)
	}
	if err := p.Redeem(code, func() error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	syllables := map[string]bool{}
	for range 2000 {
		_, secret := NewPairing()
		code := secret.Reveal()
		if seen[code] || len(strings.Fields(code)) != codeWords || len(code) != 29 {
			t.Fatalf("code %q", code)
		}
		seen[code] = true
		for w := range strings.FieldsSeq(code) {
			syllables[w[:2]], syllables[w[2:]] = true, true
		}
	}
	if len(syllables) != len(consonants)*len(vowels) {
		t.Errorf("%d different syllables, want %d", len(syllables), len(consonants)*len(vowels))
	}
}
