package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"edge/internal/gpiochip"
)

// A handle is a Chip that was opened.
type handle struct {
	chip   *Chip
	plug   int
	closed bool // under chip.mu
}

var (
	_ gpiochip.Chip    = (*handle)(nil)
	_ gpiochip.Leveler = (*handle)(nil)
)

func (h *handle) Close() error {
	h.chip.mu.Lock()
	defer h.chip.mu.Unlock()
	if h.closed {
		return os.ErrClosed
	}
	h.closed = true
	return nil
}

func (h *handle) check() error {
	switch {
	case h.closed:
		return os.ErrClosed
	case h.chip.gone || h.plug != h.chip.plugs:
		return gpiochip.ErrGone
	}
	return nil
}

func (h *handle) line(offset uint32) (*line, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	if n := h.chip.info.Lines; offset >= n {
		return nil, fmt.Errorf("%s has lines 0 to %d, not %d: %w", h.chip.info.Label, n-1, offset, syscall.EINVAL)
	}
	return h.chip.lines[offset], nil
}

func (h *handle) Info() (gpiochip.ChipInfo, error) {
	h.chip.mu.Lock()
	defer h.chip.mu.Unlock()
	return h.chip.info, h.check()
}

func (h *handle) LineInfo(offset uint32) (gpiochip.LineInfo, error) {
	h.chip.mu.Lock()
	defer h.chip.mu.Unlock()
	l, err := h.line(offset)
	if err != nil {
		return gpiochip.LineInfo{}, fmt.Errorf("read how line %d is used: %w", offset, err)
	}
	return l.lineInfo(), nil
}

// Level implements gpiochip.Leveler.
func (h *handle) Level(offset uint32) (bool, error) {
	h.chip.mu.Lock()
	defer h.chip.mu.Unlock()
	l, err := h.line(offset)
	if err != nil {
		return false, fmt.Errorf("read the level of line %d: %w", offset, err)
	}
	return l.level, nil
}

func (l *line) lineInfo() gpiochip.LineInfo {
	info := gpiochip.LineInfo{Offset: l.config.Offset, Name: l.name, Consumer: l.holder, Used: l.holder != "", Config: l.config}
	info.Config.Value, info.Config.Safe = false, false // The kernel does not tell.
	if l.owner != nil {
		info.Consumer, info.Used, info.Clock = l.owner.consumer, true, l.owner.clock
	}
	return info
}

func (h *handle) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	h.chip.mu.Lock()
	defer h.chip.mu.Unlock()
	for _, cfg := range r.Lines {
		l, err := h.line(cfg.Offset)
		if err != nil {
			return nil, fmt.Errorf("request line %d for %q: %w", cfg.Offset, r.Consumer, err)
		}
		if l.owner != nil || l.holder != "" {
			return nil, &gpiochip.BusyError{Chip: h.chip.info.Label, Line: l.lineInfo(), Consumer: r.Consumer}
		}
	}
	return h.chip.take(r), nil
}

func (c *Chip) take(r gpiochip.Request) *request {
	q := &request{
		chip:     c,
		consumer: r.Consumer[:min(len(r.Consumer), 31)],
		clock:    r.Clock,
		capacity: int(min(r.EventBuffer, 1024)), // GPIO_V2_LINES_MAX * 16
		lineSeq:  make([]uint32, len(r.Lines)),
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),
	}
	if q.capacity == 0 {
		q.capacity = 16 * len(r.Lines)
	}
	c.taken[q] = true
	for i, cfg := range r.Lines {
		l := c.lines[cfg.Offset]
		q.lines = append(q.lines, l)
		l.set(cfg)
		c.update(l)
		l.owner, l.index, l.debounced = q, i, l.logical()
	}
	return q
}

// set gives l the set-up of a request; what cfg leaves open stays.
func (l *line) set(cfg gpiochip.LineConfig) {
	if cfg.Direction == gpiochip.AsIs {
		return
	}
	if cfg.Bias == gpiochip.BiasAsIs {
		cfg.Bias = l.config.Bias
	}
	if cfg.Found {
		cfg.Found, cfg.Value = false, l.level != cfg.ActiveLow
	}
	l.value, l.config = cfg.Value, cfg
}

// A request is a set of lines that a program holds. Its fields are under
// chip.mu.
type request struct {
	chip     *Chip
	consumer string
	clock    gpiochip.Clock
	lines    []*line
	err      error // why it ended

	events   []gpiochip.Event
	capacity int
	seq      uint32
	lineSeq  []uint32
	wake     chan struct{} // there may be events
	done     chan struct{} // it has ended
}

var _ gpiochip.Lines = (*request)(nil)

// queue numbers e and drops the oldest event if there is no room, as the kernel
// does (linereq_put_event).
func (q *request) queue(e gpiochip.Event, index int) {
	q.seq++
	q.lineSeq[index]++
	e.Seq, e.LineSeq = q.seq, q.lineSeq[index]
	if len(q.events) == q.capacity {
		q.events = q.events[1:]
	}
	q.events = append(q.events, e)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// end ends q for the reason err. The lines become what nobody holds.
func (c *Chip) end(q *request, err error) {
	delete(c.taken, q)
	q.err = err
	close(q.done)
	for _, l := range q.lines {
		if l.settle != nil {
			l.settle.Stop()
		}
		if l.owner = nil; c.sticks {
			continue
		}
		bias := l.config.Bias
		l.owner, l.config = nil, released(l.config.Offset)
		l.config.Bias = bias
		c.update(l)
	}
}

// Close implements gpiochip.Lines.
func (q *request) Close() error {
	q.chip.mu.Lock()
	defer q.chip.mu.Unlock()
	switch {
	case q.err == nil:
		q.chip.end(q, os.ErrClosed)
		return nil
	case errors.Is(q.err, os.ErrClosed):
		return os.ErrClosed
	}
	q.err = os.ErrClosed // It was gone; now it is closed too.
	return nil
}

func (q *request) check(mask uint64) error {
	switch {
	case q.err != nil:
		return q.err
	case mask == 0 || mask>>len(q.lines) != 0:
		return syscall.EINVAL
	}
	return nil
}

// Values implements gpiochip.Lines.
func (q *request) Values(mask uint64) (uint64, error) {
	q.chip.mu.Lock()
	defer q.chip.mu.Unlock()
	if err := q.check(mask); err != nil {
		return 0, fmt.Errorf("read lines of %q: %w", q.consumer, err)
	}
	var values uint64
	for i, l := range q.lines {
		value := l.logical()
		if l.config.Debounce > 0 {
			value = l.debounced
		}
		if value {
			values |= 1 << i
		}
	}
	return values & mask, nil
}

// SetValues implements gpiochip.Lines.
func (q *request) SetValues(mask, values uint64) error {
	q.chip.mu.Lock()
	defer q.chip.mu.Unlock()
	err := q.check(mask)
	for i, l := range q.lines {
		if mask&(1<<i) != 0 && l.config.Direction != gpiochip.Output && err == nil {
			err = syscall.EPERM
		}
	}
	if err != nil {
		return fmt.Errorf("set lines of %q: %w", q.consumer, err)
	}
	for i, l := range q.lines {
		if mask&(1<<i) != 0 {
			l.value = values&(1<<i) != 0
			q.chip.update(l)
		}
	}
	return nil
}

// ReadEvent implements gpiochip.Lines.
func (q *request) ReadEvent(ctx context.Context) (gpiochip.Event, error) {
	for {
		if ctx.Err() != nil {
			return gpiochip.Event{}, ctx.Err()
		}
		if e, ok, err := q.next(); ok || err != nil {
			return e, err
		}
		select {
		case <-ctx.Done():
		case <-q.done:
		case <-q.wake:
		}
	}
}

func (q *request) next() (e gpiochip.Event, ok bool, err error) {
	q.chip.mu.Lock()
	defer q.chip.mu.Unlock()
	if q.err != nil {
		return e, false, fmt.Errorf("wait for an edge of %q: %w", q.consumer, q.err)
	}
	if len(q.events) == 0 {
		return e, false, nil
	}
	e, q.events = q.events[0], q.events[1:]
	return e, true, nil
}
