package modbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"edge/bridge"
	"edge/internal/modbus"
	"edge/internal/uart"
)

// A session is a bus that is open: one Run. Its port belongs to the goroutine of
// poll.
type session struct {
	base   bridge.Base
	cfg    *Config
	log    *slog.Logger
	plan   *plan
	open   func(context.Context) (port, error)
	port   port // changed with the gate held
	bus    *modbus.Client
	client bridge.Client
	proven bool // a unit has answered since the port was opened

	book     *book
	schedule *schedule
	points   [][]int // by item of the schedule: those that are read with it
	scales   []int   // by point: the item with its scale, or -1
	powers   []power // by item: what a scale register says
	stats    []unitStats
	counted  []time.Time // by unit: when the book had its numbers last
	load     load

	orders  chan incoming
	pending map[*write]incoming
	gate    sync.Mutex // held by handlers while they run
	over    bool       // no handler does anything any more
	idling  bool       // poll waits for the port: a new deadline wakes it
	stirred bool       // it was to be woken when it did not wait

	line *uart.Bus // the port, shared with the clients of the tap; nil: there is none
	tap  *uart.Tap
}

// A power is what a scale register says.
type power struct {
	n     int
	known bool
}

func newSession(b *Bridge, p *plan, bus port, c bridge.Client) *session {
	now := time.Now()
	s := &session{
		base: b.base, cfg: &b.cfg, log: b.log, plan: p, client: c,
		open:  func(ctx context.Context) (port, error) { return b.open(ctx, &b.cfg, b.log) },
		stats: make([]unitStats, len(p.units)), counted: make([]time.Time, len(p.units)), powers: make([]power, len(p.items)),
		points: make([][]int, len(p.items)), scales: make([]int, len(p.points)),
		orders: make(chan incoming, backlog), pending: map[*write]incoming{}, load: load{begun: now},
	}
	var units []limits
	var ids []string
	for _, u := range p.units {
		units = append(units, u.limits)
	}
	var where []int
	s.schedule, where = newSchedule(units, p.items, now)
	s.schedule.naive = b.naive
	for i, pt := range p.points {
		ids = append(ids, pt.topic)
		pt.item, s.scales[i] = where[pt.item], -1
		s.points[pt.item] = append(s.points[pt.item], i)
		if pt.scale >= 0 {
			s.scales[i] = where[pt.scale]
		}
	}
	for _, u := range p.units {
		ids = append(ids, u.status)
	}
	s.book = newBook(append(ids, busLoad), now)
	s.use(bus)
	return s
}

// use makes p the port of the session.
func (s *session) use(p port) {
	bus := modbus.NewClient(p, s.cfg.framing(), s.cfg.timing(s.cfg.Timeout))
	for _, u := range s.plan.units {
		bus.SetGuard(u.Unit.Unit, u.guard)
		bus.SetTimeout(u.Unit.Unit, u.timeout)
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	s.port, s.bus, s.proven = p, bus, false
	if serial, ok := p.(*uart.Port); ok && s.cfg.Tap != nil {
		s.line = uart.NewBus(serial)
		s.tap = uart.NewTap(*s.cfg.Tap, s.cfg.line(), s.line, true, s.log)
	}
}

// close ends what waits for the port.
func (s *session) close() {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.port.Close()
}

// again connects once more when a connection has ended that was of use: gateways
// close those that are quiet. Any other loss is told.
func (s *session) again(ctx context.Context, lost error) error {
	if !s.cfg.network() || !s.proven || ctx.Err() != nil {
		return lost
	}
	s.close()
	p, err := s.open(ctx)
	if err != nil {
		return err
	}
	s.log.Debug("connected again", "err", lost)
	s.use(p)
	if ctx.Err() != nil { // close may have come before
		s.close()
	}
	return nil
}

// poll asks the units until ctx ends or the port is gone.
func (s *session) poll(ctx context.Context) error {
	for ctx.Err() == nil {
		s.takeOrders()
		now := time.Now()
		for _, w := range s.schedule.expired(now) {
			s.finishLate(w)
		}
		s.tellLoad(now)
		a, ok, wake := s.schedule.next(now)
		var err error
		if ok {
			err = s.do(ctx, a)
		} else {
			err = s.idle(sooner(wake, s.load.begun.Add(loadWindow)))
		}
		if err != nil {
			err = s.again(ctx, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// idle waits for a command, or until wake. It reads meanwhile, and so sees at once
// that the port is gone; what comes without having been asked for is noise.
func (s *session) idle(wake time.Time) error {
	s.gate.Lock()
	if s.stirred {
		s.stirred = false
		s.gate.Unlock()
		return nil
	}
	s.idling = true
	err := s.port.SetReadDeadline(wake)
	s.gate.Unlock()
	defer func() {
		s.gate.Lock()
		s.idling = false
		s.gate.Unlock()
	}()
	if err != nil {
		return err
	}
	for noise := make([]byte, 512); err == nil; {
		_, err = s.port.Read(noise)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// nudge has poll look at what it has to do, if it is idle or when it will be. The
// gate is held.
func (s *session) nudge() {
	if s.stirred = !s.idling; s.idling {
		_ = s.port.SetReadDeadline(time.Unix(1, 0)) // poll sees what it is if it fails
	}
}

// do sends a request and makes what it can of the answer.
func (s *session) do(ctx context.Context, a action) error {
	u := s.plan.units[a.unit]
	release, err := s.claim(ctx)
	if err != nil {
		return err
	}
	retry := s.schedule.units[a.unit].fails > 0
	start := time.Now()
	words, err := request(ctx, s.bus, u.Unit.Unit, a)
	end := time.Now()
	release()
	s.load.add(start, end)
	o, fatal := judge(err)
	if fatal || ctx.Err() != nil {
		return err
	}
	s.proven = s.proven || o != silent
	s.count(a.unit, err, end.Sub(start), retry)
	s.log.Debug("request", "unit", u.Unit.Unit, "table", a.table, "address", a.from, "count", a.count,
		"write", a.write != nil && !a.write.written, "took", end.Sub(start), "err", err)
	if a.write != nil && !a.write.written {
		s.sent(a.write, o, err, end)
	} else {
		s.readDone(a, o, words, err, end)
	}
	s.tellUnit(a.unit, err, end)
	return nil
}

// count keeps the statistics of a unit.
func (s *session) count(unit int, err error, took time.Duration, retry bool) {
	st := &s.stats[unit]
	st.requests++
	if retry {
		st.retries++
	}
	var e modbus.Exception
	_, garbled := errors.AsType[*modbus.FrameError](err)
	switch {
	case errors.As(err, &e):
		if st.exceptions == nil {
			st.exceptions = map[byte]uint64{}
		}
		st.exceptions[byte(e)]++
		st.latency.add(took)
	case garbled:
		st.garbage++
	case err != nil:
		st.timeouts++
	default:
		st.latency.add(took)
	}
}

// tellUnit notes what a unit is like now.
func (s *session) tellUnit(unit int, err error, now time.Time) {
	st, entry := s.schedule.units[unit], len(s.plan.points)+unit
	before, state := s.book.state(entry), bridge.Online
	if st.dead {
		state = bridge.Offline
	}
	if changed := state != before; changed || now.Sub(s.counted[unit]) >= pause {
		s.counted[unit] = now
		s.book.count(entry, s.stats[unit].counters(s.missed(unit)), map[string]any{"latency_ms": s.stats[unit].latency.attr()})
		if !changed {
			return
		}
	}
	switch {
	case state == before, !st.dead && st.fails > 0: // It may be dead; that is not known yet.
		return
	case st.dead:
		s.log.Warn("a unit does not answer", "unit", s.plan.units[unit].Unit.Unit, "err", err)
		for i, p := range s.plan.points {
			if p.unit == unit {
				s.book.fail(i, "the unit does not answer: "+err.Error())
			}
		}
	case before != "":
		s.log.Info("a unit answers again", "unit", s.plan.units[unit].Unit.Unit)
	}
	s.book.hear(entry, state, byInput, now)
}

// missed returns how many deadlines of a unit were missed.
func (s *session) missed(unit int) (n uint64) {
	for _, it := range s.schedule.items {
		if it.unit == unit {
			n += it.missed
		}
	}
	return n
}

// lineCounters are those of the tap, and those of the driver where it counts.
func (s *session) lineCounters() map[string]uint64 {
	counters := map[string]uint64{}
	if s.tap != nil {
		counters = s.tap.Counters()
	}
	if p, ok := s.port.(interface{ Counters() (uart.Counters, error) }); ok {
		if c, err := p.Counters(); err == nil {
			c.AddTo(counters)
		}
	}
	return counters
}

// tellLoad notes how busy the bus was.
func (s *session) tellLoad(now time.Time) {
	if percent, ok := s.load.percent(now); ok {
		entry := len(s.plan.points) + len(s.plan.units)
		if counters := s.lineCounters(); len(counters) > 0 {
			s.book.count(entry, counters, nil)
		}
		s.book.hear(entry, fmt.Sprint(percent), byInput, now)
	}
}
