package login

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Bounds of a pairing.
const (
	PairingTime  = 15 * time.Minute
	PairingTries = 5
)

// ErrPairingOver says that a code is worth nothing any more: it was used, its
// time is over, or too many others were tried. Only a new one helps.
var ErrPairingOver = errors.New("the pairing code is no longer valid; get a new one with `edge pair`")

// A Pairing is the chance to become the first user: a code that is shown to who
// owns the machine and is good once, for a short time and a few tries.
type Pairing struct {
	mu   sync.Mutex
	sum  [sha256.Size]byte
	ends time.Time
	left int // tries
}

// NewPairing begins a pairing and returns its code, which is kept nowhere.
func NewPairing() (*Pairing, Secret) {
	code := newCode()
	return &Pairing{
		sum:  sha256.Sum256([]byte(code)),
		ends: time.Now().Add(PairingTime),
		left: PairingTries,
	}, NewSecret(code)
}

// Redeem calls use if code is the right one, in capitals or small letters, with
// spaces or dashes between its words or nothing, and uses the code up if use
// succeeds; else it returns the error of use. If the code is wrong it says how many
// tries are left, or returns ErrPairingOver. Others wait meanwhile.
func (p *Pairing) Redeem(code Secret, use func() error) error {
	sum := sha256.Sum256([]byte(tidyCode(code.Reveal())))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over() {
		return ErrPairingOver
	}
	p.left--
	if subtle.ConstantTimeCompare(sum[:], p.sum[:]) == 1 {
		if err := use(); err != nil {
			return err
		}
		p.left = 0
		return nil
	}
	if p.left == 0 {
		return ErrPairingOver
	}
	return fmt.Errorf("this is not the pairing code; tries left: %d", p.left)
}

// over reports whether the code is worth nothing any more; p.mu is held.
func (p *Pairing) over() bool { return p.left == 0 || !time.Now().Before(p.ends) }

// Left returns when the time of the code is over, and how many tries are left.
func (p *Pairing) Left() (ends time.Time, tries int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ends, p.left
}

// A code is six words of two syllables, which can be read out and typed in most
// languages: 12 bits each, 72 in all.
const (
	consonants = "bdfghjklmnprstvw"
	vowels     = "aeio"
	codeWords  = 6
)

// newCode returns a random code. A syllable takes 4 bits of a byte for its
// consonant and 2 for its vowel, so that all are equally likely.
func newCode() string {
	var random [2 * codeWords]byte
	_, _ = rand.Read(random[:]) // It never returns an error.
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%2 == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(consonants[r&0x0f])
		b.WriteByte(vowels[r>>4&0x03])
	}
	return b.String()
}

// tidyCode returns the code that was meant.
func tidyCode(code string) string {
	letters := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -\t\r\n", r) {
			return -1
		}
		return r
	}, strings.ToLower(code))
	var b strings.Builder
	for i := range len(letters) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(letters[i])
	}
	return b.String()
}
