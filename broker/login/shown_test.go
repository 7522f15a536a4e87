package login

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestShownToNeighbours: what those who guess are told, and when, is the same
// whether the user exists, is familiar where they are, or neither.
func TestShownToNeighbours(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		// A guess is at the password of the user in question, or of another, after a
		// time; a few passwords come again.
		type guess struct {
			at       string
			password int
			pause    time.Duration
		}
		guesses := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) guess {
			return guess{
				rapid.SampledFrom([]string{"", "", "other", "more"}).Draw(r, "at"),
				rapid.IntRange(0, 12).Draw(r, "password"),
				rapid.SampledFrom([]time.Duration{0, 0, 0, firstPause, maxPause, forgive}).Draw(r, "pause"),
			}
		}), 1, 40).Draw(r, "guesses")
		told := func(user string, familiar bool) (answers []string) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestVerifier()
				if familiar {
					if err := v.try(t, user, user, home); err != nil {
						t.Fatal(err)
					}
				}
				for _, g := range guesses {
					time.Sleep(g.pause)
					at, start := g.at, time.Now()
					if at == "" {
						at = user
					}
					err := v.try(t, at, fmt.Sprint("x", g.password), home)
					answers = append(answers, fmt.Sprint(err, " after ", time.Since(start)))
				}
			})
			return answers
		}
		want := told("nobody", false)
		for _, user := range []string{"anna", "device", "no-anna"} {
			if got := told(user, false); !slices.Equal(got, want) {
				r.Errorf("%s: %q\nwant as for nobody: %q", user, got, want)
			}
		}
		if got := told("anna", true); !slices.Equal(got, want) {
			r.Errorf("anna, who is familiar there: %q\nwant as for nobody: %q", got, want)
		}
	})
}
