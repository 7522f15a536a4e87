package modbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edge/bridge"
)

// An incoming command waits for its turn.
type incoming struct {
	point int
	cmd   bridge.Command
	at    time.Time
}

// backlog is how many commands may wait to be looked at, and how many results to be
// told. Of those that wait for the bus there is one for an entity.
const backlog = 64

// listen subscribes to the commands of each entity that takes some.
func (s *session) listen(ctx context.Context) error {
	for i, p := range s.plan.points {
		if !p.Write {
			continue
		}
		topic := s.base.Set(p.topic)
		if err := s.client.Subscribe(ctx, topic, func(m bridge.Message) { s.handle(ctx, i, m) }); err != nil {
			return fmt.Errorf("subscribe to %s: %w", topic, err)
		}
	}
	return nil
}

// handle queues a command. It never waits for the bus.
func (s *session) handle(ctx context.Context, point int, m bridge.Message) {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.over {
		return
	}
	in := incoming{point: point, at: time.Now()}
	var err error
	if in.cmd, err = bridge.ParseCommand(m.Payload); err == nil && in.cmd.For != 0 {
		err = errors.New("for: a unit on a bus cannot do this for a time")
	}
	if err == nil {
		select {
		case s.orders <- in:
			s.nudge()
			return
		default:
			err = fmt.Errorf("%d commands already wait for the bus", backlog)
		}
	}
	// Where that fails there is nobody to tell, and who publishes will notice, too.
	_ = bridge.PublishResult(ctx, s.client, s.base, s.plan.points[point].topic, in.result(bridge.StatusRefused, err.Error(), ""))
}

func (in incoming) result(status, reason, value string) bridge.Result {
	return bridge.Result{ID: in.cmd.ID, Status: status, Reason: reason, Value: value, Latency: time.Since(in.at)}
}

// takeOrders hands the commands that came to the schedule.
func (s *session) takeOrders() {
	for !s.book.full() {
		select {
		case in := <-s.orders:
			s.order(in)
		default:
			return
		}
	}
}

func (s *session) order(in incoming) {
	p := s.plan.points[in.point]
	n, err := s.powerOf(in.point)
	var o order
	if err == nil {
		o, err = p.encode(in.cmd.Value, s.book.state(in.point), n)
	}
	if err != nil {
		s.answer(in, bridge.StatusRefused, err.Error(), "")
		return
	}
	w := &write{item: p.item, order: o, point: in.point, until: in.at.Add(s.cfg.WriteWindow)}
	if old := s.schedule.enqueue(w); old != nil {
		if old.written {
			s.finish(old, bridge.StatusError, "was written, and overtaken by a later command before it was read back", "")
		} else {
			s.finish(old, bridge.StatusRefused, "overtaken by a later command", "")
		}
	}
	s.pending[w] = in
}

// sent notes how the request of a write ended.
func (s *session) sent(w *write, o outcome, err error, now time.Time) {
	if s.schedule.sent(w, o, now) {
		s.finish(w, bridge.StatusError, err.Error(), "")
	}
}

// looked notes what a write was read back as.
func (s *session) looked(w *write, o outcome, err error, now time.Time) {
	value := s.book.state(w.point)
	matches := o == good && value == w.order.expect
	switch over := s.schedule.looked(w, o, matches, now); {
	case !over:
	case matches:
		s.finish(w, bridge.StatusOK, "", value)
	case o == good:
		s.finish(w, bridge.StatusError, fmt.Sprintf("%s was written, and %s is read back", w.order.expect, value), value)
	default:
		s.finish(w, bridge.StatusError, "was written, and cannot be read back: "+err.Error(), "")
	}
}

// finishLate answers a command whose time is over.
func (s *session) finishLate(w *write) {
	reason := fmt.Sprintf("the unit gave no answer to it within %v", s.cfg.WriteWindow)
	if w.written {
		reason = "was written, and could not be read back"
	}
	s.finish(w, bridge.StatusError, reason, "")
}

func (s *session) finish(w *write, status, reason, value string) {
	s.answer(s.pending[w], status, reason, value)
	delete(s.pending, w)
}

func (s *session) answer(in incoming, status, reason, value string) {
	s.book.reply(answer{s.plan.points[in.point].topic, in.result(status, reason, value)})
}

// farewell bounds how long it takes to answer commands that nobody obeys any more.
const farewell = 500 * time.Millisecond

// end answers the commands that were not obeyed; after it, no handler runs.
func (s *session) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	s.gate.Lock()
	s.over = true
	s.gate.Unlock()
	for w := range s.pending {
		s.finish(w, bridge.StatusError, "the bus is gone", "")
	}
	for {
		select {
		case in := <-s.orders:
			s.answer(in, bridge.StatusRefused, "the bus is gone", "")
		default:
			p, _ := s.book.turn(time.Now())
			for _, a := range p.answers {
				_ = bridge.PublishResult(ctx, s.client, s.base, a.id, a.result)
			}
			return
		}
	}
}
