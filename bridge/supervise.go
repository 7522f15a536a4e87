package bridge

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	firstDelay = time.Second      // after the first failure
	lastDelay  = 30 * time.Second // after many

	// A node stops within two seconds: these two together bound what it may
	// cost to say goodbye.
	grace    = 500 * time.Millisecond // for calls that outlive their run
	farewell = time.Second            // for `offline` to be published
)

var (
	errEnded   = errors.New("the bridge ended by itself")
	errStopped = errors.New("the bridge was stopped")
)

// Supervise runs b, which speaks under base, until ctx ends. When a run of b is
// over, its subscriptions have ended and it can publish no more; then
// everything that it announced is marked offline, with the reason, and after a
// delay Run is called again. The delay doubles from 1 s to 30 s, of which half
// to all is waited, and begins anew after a run that announced its device and
// lasted for as long as the delay that would follow it. A run that ended with a
// Lost is not waited for longer than that says. A panic is not recovered: that is
// a mistake in the bridge, not a lost device.
//
// When the device is back, it is the bridge that says so: by Announce, and by
// publishing states with their attributes anew.
func Supervise(ctx context.Context, base Base, b Bridge, c Client, log *slog.Logger) {
	s := &supervisor{base: base, bridge: b, client: c, log: log}
	s.ledger.suspect(base)
	s.sayOffline(ctx, errStopped, time.Now())
	for delay := firstDelay; ctx.Err() == nil; delay = min(2*delay, lastDelay) {
		start := time.Now()
		announced, err := s.run(ctx)
		end := time.Now()
		s.sayOffline(ctx, err, end)
		if announced && end.Sub(start) >= delay {
			delay = firstDelay
		}
		if ctx.Err() != nil {
			s.reportEnd(err)
			return
		}
		wait := jitter(delay)
		s.report(err, wait)
		rest(ctx, wait, err)
		s.sayOffline(ctx, err, end) // if the broker would not take it before
	}
}

// A supervisor keeps one bridge running.
type supervisor struct {
	base   Base
	bridge Bridge
	client Client
	log    *slog.Logger
	ledger ledger
}

// run calls Run once, and says how it went and whether it announced the bridge.
func (s *supervisor) run(ctx context.Context) (announced bool, err error) {
	runCtx, cancel := context.WithCancel(ctx)
	last, over := context.WithCancel(context.WithoutCancel(ctx))
	ses := newSession(runCtx, last, s.client, s.note)
	err = s.bridge.Run(runCtx, ses)
	cancel()
	over()
	if !ses.close(grace) {
		s.log.Warn("a handler or a publish of the bridge outlives its run", "waited", grace)
	}
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())):
		err = errStopped
	case err == nil:
		err = errEnded
	}
	return s.ledger.isOnline(s.base), err
}

// note is told every retained message that the bridge publishes.
func (s *supervisor) note(m Message) {
	s.ledger.note(m)
	if m.Topic == s.base.Status() && string(m.Payload) == Online && s.ledger.healed() {
		s.log.Info("bridge is back")
	}
}

// report logs a failure, but not again and again the same.
func (s *supervisor) report(err error, wait time.Duration) {
	level := slog.LevelDebug
	if s.ledger.failed(err) {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "bridge lost; trying again", "err", err, "wait", wait.Round(time.Millisecond))
}

// reportEnd logs what went wrong when the bridge was stopped.
func (s *supervisor) reportEnd(err error) {
	if !errors.Is(err, errStopped) {
		s.log.Warn("bridge did not stop cleanly", "err", err)
	}
}

// sayOffline publishes that what was announced is offline since then, where that
// has not been said yet. It has its own deadline, because ctx may be over.
func (s *supervisor) sayOffline(ctx context.Context, reason error, since time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	for _, m := range s.ledger.obituary(reason, since) {
		if err := s.client.Publish(ctx, m); err != nil {
			s.log.Warn("cannot mark as offline", "topic", m.Topic, "err", err)
			continue
		}
		s.ledger.note(m)
	}
}

// jitter returns half of d to all of it, so that what failed together is not
// tried again together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// rest waits for d, until ctx ends, or until what was lost is there again.
func rest(ctx context.Context, d time.Duration, err error) {
	lost, ok := errors.AsType[*Lost](err)
	if !ok {
		sleep(ctx, d)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if lost.Back(ctx) != nil {
		<-ctx.Done()
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
