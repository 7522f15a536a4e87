package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/login"
)

// TestPairings goes through what becomes of codes, and looks whether clients may come
// with them meanwhile.
func TestPairings(t *testing.T) {
	add := func(bool) error { return nil }
	for _, tt := range []struct {
		name  string
		do    func(t *testing.T, p *pairings, s pairingState)
		state string
		open  bool // for clients, when all is done
		later bool // the same, some seconds after
	}{
		{"nothing", func(*testing.T, *pairings, pairingState) {}, pairOpen, true, true},
		{"time", func(*testing.T, *pairings, pairingState) { time.Sleep(login.PairingTime) }, pairLate, false, false},
		{"nearly", func(*testing.T, *pairings, pairingState) { time.Sleep(login.PairingTime - time.Minute) }, pairOpen, true, true},
		{"paired", func(t *testing.T, p *pairings, s pairingState) {
			if err := p.redeem(login.NewSecret(s.Code), "anna", add); err != nil {
				t.Error(err)
			}
		}, pairDone, true, false},
		{"wrong codes", func(_ *testing.T, p *pairings, _ pairingState) {
			for range login.PairingTries {
				_ = p.redeem(login.NewSecret("x"), "anna", add)
			}
		}, pairTried, true, false},
		{"no user", func(t *testing.T, p *pairings, s pairingState) {
			taken := errors.New("taken")
			if err := p.redeem(login.NewSecret(s.Code), "anna", func(bool) error { return taken }); !errors.Is(err, taken) {
				t.Error(err)
			}
		}, pairOpen, true, true},
		{"given up", func(_ *testing.T, p *pairings, s pairingState) { p.end(s.ID) }, pairGone, false, false},
		{"another one given up", func(_ *testing.T, p *pairings, s pairingState) { p.end(s.ID + 1) }, pairOpen, true, true},
		{"a new one", func(t *testing.T, p *pairings, s pairingState) {
			p.begin(false)
			if p.redeem(login.NewSecret(s.Code), "anna", add) == nil {
				t.Error("the code before is good")
			}
		}, pairGone, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open atomic.Bool
				p := &pairings{open: open.Store}
				defer p.close()
				s := p.begin(false)
				tt.do(t, p, s)
				synctest.Wait()
				if got := p.state(s.ID); got.State != tt.state || got.Code != "" {
					t.Errorf("it is %+v, want %s", got, tt.state)
				}
				if open.Load() != tt.open {
					t.Errorf("open for clients: %t, want %t", open.Load(), tt.open)
				}
				time.Sleep(2 * pairingGrace)
				synctest.Wait()
				if open.Load() != tt.later {
					t.Errorf("later open for clients: %t, want %t", open.Load(), tt.later)
				}
			})
		})
	}
}

// TestPairingEnds has `edge pair` exit as its code has ended.
func TestPairingEnds(t *testing.T) {
	for state, want := range map[string]int{pairDone: exitDone, pairLate: exitTimedOut, pairTried: exitRefused, pairGone: exitFailed} {
		var out bytes.Buffer
		p := &pairer{app: &app{out: &out, err: io.Discard}}
		if got := exitCode(context.Background(), p.showEnd(pairingState{State: state, User: "anna"})); got != want {
			t.Errorf("%s: exit code %d, want %d", state, got, want)
		}
	}
}
