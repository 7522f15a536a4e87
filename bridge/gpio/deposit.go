package gpio

import (
	"context"
	"sync/atomic"
	"time"

	"edge/bridge"
)

// A depot saves the totals of a meter, in the outbox's goroutine.
type depot struct {
	post    *post
	entity  string
	failed  atomic.Bool   // the last save; it is to be tried again
	written atomic.Uint64 // number of the last deposit that is saved
}

// A deposit is a total on its way to the disk. Deposits are numbered, since a
// crowded outbox lets a later one overtake: what is older then is worth nothing.
type deposit struct {
	reading
	number uint64
	value  string // of the state
	attr   bridge.Attr
	cmd    *command // that is answered when it is saved
}

// put has s be saved.
func (d *depot) put(s deposit) {
	d.failed.Store(false)
	key := d.post.base.Saved(d.entity)
	if s.cmd != nil {
		key = "" // An answer must not be replaced by a later save.
	}
	d.post.box.put(letter{key, func(ctx context.Context) error { return d.deliver(ctx, s) }})
}

// repeat publishes s, which was put before, once more.
func (d *depot) repeat(s deposit) {
	d.post.box.put(letter{"", func(ctx context.Context) error {
		if d.failed.Load() || d.written.Load() > s.number {
			return nil
		}
		return bridge.PublishState(ctx, d.post.client, d.post.base, d.entity, s.value)
	}})
}

// deliver saves s, and publishes it and answers when it is saved. A disk that does
// not take it is told in attr; it is no reason to let go of the lines. The error
// is one of a broker that takes nothing.
func (d *depot) deliver(ctx context.Context, s deposit) error {
	var err error
	if d.written.Load() <= s.number {
		if err = bridge.Save(ctx, d.post.client, d.post.base, d.entity, s.reading); ctx.Err() != nil {
			return err
		}
		if err := d.tell(ctx, s, err); err != nil {
			return err
		}
	}
	if s.cmd == nil {
		return nil
	}
	return bridge.PublishResult(ctx, d.post.client, d.post.base, d.entity, s.cmd.result(s.value, err))
}

// tell publishes what was saved, or why it was not.
func (d *depot) tell(ctx context.Context, s deposit, failure error) error {
	if failure != nil {
		d.failed.Store(true)
		s.attr.Quality, s.attr.Error = bridge.Bad, "the total is not saved: "+failure.Error()
	} else {
		d.written.Store(s.number)
		if err := bridge.PublishState(ctx, d.post.client, d.post.base, d.entity, s.value); err != nil {
			return err
		}
	}
	return bridge.PublishAttr(ctx, d.post.client, d.post.base, d.entity, s.attr)
}

// result is the answer to a command that made a total be value, unless it could
// not be saved.
func (c command) result(value string, err error) bridge.Result {
	r := bridge.Result{ID: c.ID, Status: bridge.StatusOK, Value: value, Latency: time.Since(c.at)}
	if err != nil {
		r.Status, r.Reason = bridge.StatusError, "it is not saved yet, and is tried again: "+err.Error()
	}
	return r
}
