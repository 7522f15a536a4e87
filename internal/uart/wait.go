package uart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// firstLook and poll are how soon Wait looks again after news, and how
	// often it looks in the long run where no events tell: a look is one stat.
	firstLook = 10 * time.Millisecond
	poll      = 250 * time.Millisecond

	// lively is how long Wait looks by itself after an event. The kernel tells
	// of a device before udev has made its names; udev tells, too, but not in
	// every container.
	lively = 2 * time.Second

	// settle is how long Wait gives udev to set the owner of a new device.
	settle = time.Second
)

// Wait returns the device that name means as soon as it is plugged in. Where
// the kernel tells of devices, waiting costs nothing. The error is that of ctx,
// or wraps ErrAmbiguous.
func Wait(ctx context.Context, name string) (string, error) { return Host{}.Wait(ctx, name) }

// Wait is as the function Wait.
func (h Host) Wait(ctx context.Context, name string) (dev string, err error) {
	if s, ok, err := parseSource(name); ok {
		return s.name(), err
	}
	var since time.Time // found without access
	err = h.until(ctx, name, func() (bool, error) {
		dev, err = h.Find(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			since = time.Time{}
			return false, nil
		case err != nil:
			return false, err
		case since.IsZero():
			since = time.Now()
		}
		return usable(dev) || time.Since(since) > settle, nil
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return "", fmt.Errorf("wait for serial port %s: %w", name, err)
	}
	if err != nil {
		return "", err
	}
	return dev, nil
}

// until returns when look says so, or fails, or ctx ends. It calls look at
// once, after every event of a terminal, and for a while after that more and
// more seldom: for ever where no events come.
func (h Host) until(ctx context.Context, name string, look func() (bool, error)) error {
	news, leave := h.news(name)
	defer leave()
	timer := time.NewTimer(firstLook)
	defer timer.Stop()
	for last, step := time.Now(), firstLook; ; {
		if done, err := look(); done || err != nil {
			return err
		}
		var again <-chan time.Time
		if news == nil || time.Since(last) < lively {
			timer.Reset(step)
			again = timer.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again:
			step = min(step*3/2, poll)
		case _, ok := <-news:
			if last, step = time.Now(), firstLook; !ok {
				news = nil // no more: look
			}
		}
	}
}

// news returns where events come from, or nil where none tell of name.
func (h Host) news(name string) (news <-chan struct{}, leave func()) {
	w := h.watch
	if w == nil && h.Root == "" {
		w = events
	}
	if w != nil && h.told(name) {
		if news, leave, err := w.join(); err == nil {
			return news, leave
		}
	}
	return nil, func() {}
}

func usable(dev string) bool { return unix.Access(dev, unix.R_OK|unix.W_OK) == nil }
