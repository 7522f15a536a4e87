package guard

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"edge/internal/gpiochip"
)

// A held is lines of one request that the guard has a descriptor of.
type held struct {
	request
	lines gpiochip.Lines
	used  bool      // the main process drives them
	left  bool      // it has closed them, at the levels that they are to have
	since time.Time // when they were left, or have been without the main process that is there
	gone  bool      // the chip is
	fault bool      // they could not be driven; it has been said
}

// drive makes h safe. It reports false if its chip is gone, and with it the lines.
func (h *held) drive(log *slog.Logger) (there bool) {
	err := h.lines.SetValues(h.mask(), h.safe())
	switch {
	case errors.Is(err, gpiochip.ErrGone):
		return false
	case err != nil && !h.fault:
		log.Error("an output cannot be made safe", "lines", h.Consumer, "err", err)
	}
	h.fault = err != nil
	return true
}

// A holding is all that a guard holds.
type holding struct {
	all []*held
	log *slog.Logger
}

// drive makes everything safe that choose has, and forgets what is gone. Chips are
// driven side by side, since one on a slow bus must not delay the others.
func (hs *holding) drive(choose func(*held) bool) {
	chips := make(map[string][]*held)
	for _, h := range hs.all {
		if choose(h) {
			chips[h.Name] = append(chips[h.Name], h)
		}
	}
	var drivers sync.WaitGroup
	for _, all := range chips {
		drivers.Go(func() {
			for _, h := range all {
				h.gone = !h.drive(hs.log)
			}
		})
	}
	drivers.Wait()
	hs.all = slices.DeleteFunc(hs.all, func(h *held) bool {
		if !h.gone {
			return false
		}
		hs.log.Info("a GPIO chip is gone; its lines are held no more", "chip", h.Chip, "lines", h.Consumer)
		h.lines.Close()
		return true
	})
}

func (hs *holding) driveAll() { hs.drive(func(*held) bool { return true }) }

// release gives back what choose has.
func (hs *holding) release(choose func(*held) bool) {
	hs.all = slices.DeleteFunc(hs.all, func(h *held) bool {
		if !choose(h) {
			return false
		}
		h.lines.Close()
		return true
	})
}

// count is the number of lines.
func (hs *holding) count() (n int) {
	for _, h := range hs.all {
		n += len(h.Lines)
	}
	return n
}

// add holds lines that were requested as q says, instead of all that are the same
// ones: who has these has seen the kernel give them.
func (hs *holding) add(q request, lines gpiochip.Lines, used bool) error {
	if _, err := lines.Values(q.mask()); err != nil {
		return fmt.Errorf("these are no lines that can be held: %w", err)
	}
	hs.release(func(h *held) bool { return h.overlaps(q) })
	if hs.count()+len(q.Lines) > maxLines {
		return fmt.Errorf("a guard holds %d lines at most", maxLines)
	}
	hs.all = append(hs.all, &held{request: q, lines: lines, used: used, since: time.Now()})
	return nil
}

// errInUse means that the main process has the lines already.
var errInUse = errors.New("these lines are in use")

// take returns what is held as q asks, for the main process to use. Lines that were
// requested otherwise are given back to the kernel, of which the main process may
// request them anew; then there is nothing to return.
func (hs *holding) take(q request) (*held, error) {
	for _, h := range hs.all {
		if h.used && h.overlaps(q) {
			return nil, errInUse
		}
	}
	for _, h := range hs.all {
		if _, err := h.lines.Values(h.mask()); h.same(q) && err == nil {
			h.request, h.used, h.left, h.fault = q, true, false, false
			return h, nil
		}
	}
	hs.release(func(h *held) bool { return h.overlaps(q) })
	return nil, nil
}

// free reports whether lines of q are held, and all of those without the main
// process.
func (hs *holding) free(q request) bool {
	some := false
	for _, h := range hs.all {
		if h.overlaps(q) {
			if some = true; h.used {
				return false
			}
		}
	}
	return some
}

// leave notes that the main process has closed lines at the levels that they are to
// have. Those of a chip that is gone are closed, or it could not go altogether.
func (hs *holding) leave(q request, now time.Time) {
	hs.release(func(h *held) bool {
		if !h.used || !h.same(q) {
			return false
		}
		h.used, h.left, h.since = false, true, now
		_, err := h.lines.Values(h.mask())
		return errors.Is(err, gpiochip.ErrGone)
	})
}

// disuse notes that no main process drives any line.
func (hs *holding) disuse(now time.Time) {
	for _, h := range hs.all {
		h.used, h.since = false, now
	}
}
