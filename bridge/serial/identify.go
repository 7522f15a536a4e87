package serial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"edge/internal/uart"
)

// A Guess is what a stick may be.
type Guess struct {
	Device *Device
	Baud   int    // at which it was understood
	Sure   int    // per cent
	Why    string // what it said
}

const (
	// certain ends the search, in per cent.
	certain = 95

	// glance is how long a rate is listened to at first: sensors speak every
	// second, Plantower's every 2.3 s at most.
	glance = 2500 * time.Millisecond

	// burst is the silence that ends what a stick says at once.
	burst = 150 * time.Millisecond

	// patience is how long the next words of a stick are awaited that has
	// spoken at another rate.
	patience = 4 * time.Second

	// seldom is how much longer one is that speaks every 10 s, as meters by DSMR 4.
	seldom = 7 * time.Second

	// answer bounds how long an answer is awaited.
	answer = 2 * time.Second
)

// A Listener finds out what a stick is.
type Listener struct {
	Port     RatePort
	Devices  []Device
	Progress func(doing string) // may be nil

	spoke  bool            // it says something by itself that was not understood
	waited bool            // for one that speaks seldom
	asked  map[string]bool // devices that were asked, with their rate
}

// A RatePort is a port whose line can be changed; a *uart.Port is one.
type RatePort interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	SetReadDeadline(t time.Time) error
	SetRate(baud, dataBits int, parity uart.Parity) error
}

var _ RatePort = (*uart.Port)(nil)

// Identify listens at the rates of the devices and asks those that must be asked,
// until one is certain or ctx ends. The guesses are sorted, the best first; none
// means that nothing was understood. It says less by itself than it hears: what
// it asks changes nothing.
func (l *Listener) Identify(ctx context.Context) ([]Guess, error) {
	var found []Guess
	l.asked = map[string]bool{}
	all := rates(l.Devices)
	for _, visit := range []func(context.Context, *rate) ([]Guess, error){l.visit, l.await} {
		for i, r := range all {
			if ctx.Err() != nil {
				return best(found), nil
			}
			guesses, err := visit(ctx, r)
			if err != nil {
				return best(found), err
			}
			if found = append(found, guesses...); len(found) > 0 && best(found)[0].Sure >= certain {
				return best(found), nil
			}
			if l.spoke { // at another rate: this one comes last when they are looked at again
				all = append(slices.Delete(all, i, i+1), r)
				break
			}
		}
		l.spoke = false
	}
	return best(found), nil
}

// best returns the best guess for each device, the surest first.
func best(found []Guess) []Guess {
	var out []Guess
	for sure := 100; sure > 0; sure-- {
		for _, g := range found {
			if g.Sure == sure && !slices.ContainsFunc(out, func(o Guess) bool { return o.Device.Name == g.Device.Name }) {
				out = append(out, g)
			}
		}
	}
	return out
}

// A rate is a speed with the devices that have it.
type rate struct {
	baud    int
	devices []*Device
}

// rates returns those of devices: first those at which most can be, in an order
// in which the fast ones, of which little is missed, come before the slow.
func rates(devices []Device) (all []*rate) {
	for n := range devices {
		d := &devices[n]
		for _, baud := range append([]int{d.Serial.Baud}, d.Bauds...) {
			i := slices.IndexFunc(all, func(r *rate) bool { return r.baud == baud })
			if i < 0 {
				i, all = len(all), append(all, &rate{baud: baud})
			}
			all[i].devices = append(all[i].devices, d)
		}
	}
	slices.SortStableFunc(all, func(a, b *rate) int {
		return cmp.Or(cmp.Compare(len(b.devices), len(a.devices)), cmp.Compare(b.baud, a.baud))
	})
	return all
}

// visit listens at a rate for a glance, then asks.
func (l *Listener) visit(ctx context.Context, r *rate) ([]Guess, error) {
	ears, err := l.tune(r, "")
	if err != nil {
		return nil, err
	}
	if only(r.devices, asked) {
		return l.askAll(ctx, r, ears)
	}
	said, err := l.hear(ctx, ears, glance)
	if guesses := understood(ears); err != nil || len(guesses) > 0 {
		return guesses, err
	}
	if said {
		l.spoke = true
		return nil, nil
	}
	return l.askAll(ctx, r, ears)
}

// await listens at a rate until the stick has spoken once more, then asks. One
// that is silent meanwhile speaks seldom: then it is waited for, once.
func (l *Listener) await(ctx context.Context, r *rate) ([]Guess, error) {
	ears, err := l.tune(r, " again")
	if err != nil {
		return nil, err
	}
	if !only(r.devices, asked) {
		said, err := l.hear(ctx, ears, patience)
		if err == nil && !said && !l.waited {
			l.waited = true
			_, err = l.hear(ctx, ears, seldom)
		}
		if guesses := understood(ears); err != nil || len(guesses) > 0 {
			return guesses, err
		}
	}
	return l.askAll(ctx, r, ears)
}

func asked(d *Device) bool { return len(d.Serial.Requests) > 0 }

func only(devices []*Device, is func(*Device) bool) bool {
	return !slices.ContainsFunc(devices, func(d *Device) bool { return !is(d) })
}

// tune sets the rate and returns what listens at it. Bytes of seven bits are
// heard as eight, of which one is the parity: so both kinds are heard at once.
func (l *Listener) tune(r *rate, again string) (ears []*ear, err error) {
	if l.Progress != nil {
		l.Progress(fmt.Sprintf("%d baud%s", r.baud, again))
	}
	// A line that is set at its far side has one rate, at which all are heard.
	if err := l.Port.SetRate(r.baud, 8, uart.NoParity); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	for _, d := range r.devices {
		e, err := newEar(d, r.baud)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", d.Name, err)
		}
		ears = append(ears, e)
	}
	return ears, nil
}

// askAll asks each device that must be asked, until one has answered.
func (l *Listener) askAll(ctx context.Context, r *rate, ears []*ear) ([]Guess, error) {
	for i, d := range r.devices {
		at := fmt.Sprint(d.Name, r.baud)
		if !asked(d) || l.asked[at] || ctx.Err() != nil {
			continue
		}
		l.asked[at] = true
		if l.Progress != nil {
			l.Progress(fmt.Sprintf("%d baud, is it %s?", r.baud, d.Name))
		}
		question, err := d.Serial.Requests[0].bytes(d.Serial.builder())
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", d.Name, err)
		}
		if _, err := l.Port.Write(ears[i].line(question)); err != nil {
			return nil, err
		}
		ears[i].listening = true
		_, err = l.hear(ctx, ears, min(answer, d.Serial.Requests[0].Timeout))
		if g := understood(ears); err != nil || len(g) > 0 {
			return g, err
		}
	}
	return nil, nil
}

// hear feeds ears for a time, or until one is certain, or until the stick has
// said something and is silent again. said is whether it has.
func (l *Listener) hear(ctx context.Context, ears []*ear, limit time.Duration) (said bool, err error) {
	end := time.Now().Add(limit)
	buf := make([]byte, 4096)
	for until := end; ; {
		if by, ok := ctx.Deadline(); ok && by.Before(until) {
			until = by
		}
		_ = l.Port.SetReadDeadline(until)
		n, err := l.Port.Read(buf)
		now := time.Now()
		for _, e := range ears {
			e.feed(buf[:n], now)
		}
		said = said || n > 0
		sure := slices.ContainsFunc(ears, func(e *ear) bool { return e.sure() >= certain })
		switch {
		case sure || ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
			return said, nil
		case err != nil:
			return said, err
		}
		if slices.ContainsFunc(ears, func(e *ear) bool { return e.sure() > 0 }) {
			until = end // it is being understood: what comes next makes sure
		} else if until = now.Add(burst); until.After(end) {
			until = end
		}
	}
}

// understood returns what is a guess.
func understood(ears []*ear) (guesses []Guess) {
	for _, e := range ears {
		if s := e.sure(); s > 0 {
			guesses = append(guesses, Guess{e.device, e.baud, s, e.why()})
		}
	}
	return guesses
}
