package sim

import (
	"fmt"
	"sync"
	"time"

	"edge/internal/gpiochip"
)

// traced is how many changes of a line's level are remembered for Trace.
const traced = 4096

// A Chip is a simulated GPIO chip, seen from its far side: what is soldered to
// its lines. Open gives the near side, which keeps the contract of package
// gpiochip. All methods may be called from several goroutines at once.
type Chip struct {
	info  gpiochip.ChipInfo
	start time.Time // zero of the clock of events

	mu     sync.Mutex
	plugs  int // how often it was unplugged; older handles are dead
	gone   bool
	sticks bool // see Stick
	lines  []*line
	taken  map[*request]bool
}

// A line is one line of a Chip; its owner is nil if it is free or another
// program's.
type line struct {
	name   string
	holder string // another program or driver that holds the line
	owner  *request
	index  int // in the owner's request
	config gpiochip.LineConfig

	drive    gpiochip.Bias // from outside, stronger than any bias
	resistor gpiochip.Bias // soldered to the line, weaker than the chip's bias
	value    bool          // logical, of an output
	level    bool          // physical
	trace    []bool

	debounced bool        // logical, of an input with debounce
	settle    *time.Timer // runs while such an input bounces
}

// NewChip makes a chip with a label and one line for each name, which may be
// empty. Nothing is connected to the lines, which reads as low.
func NewChip(label string, names ...string) *Chip {
	c := &Chip{
		info:  gpiochip.ChipInfo{Name: "gpiochip-sim", Label: label, Lines: uint32(len(names))},
		start: time.Now(),
		taken: make(map[*request]bool),
	}
	for i, name := range names {
		c.lines = append(c.lines, &line{name: name, config: released(uint32(i)), trace: []bool{false}})
	}
	return c
}

// released is what a line is when nobody holds it: an input, as gpio-sim and
// upstream's pinctrl-bcm2835 leave it.
func released(offset uint32) gpiochip.LineConfig {
	return gpiochip.LineConfig{Offset: offset, Direction: gpiochip.Input}
}

// Open returns the near side of the chip.
func (c *Chip) Open() (gpiochip.Chip, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, fmt.Errorf("open %s: %w", c.info.Label, gpiochip.ErrGone)
	}
	return &handle{chip: c, plug: c.plugs}, nil
}

// Drive holds the line at offset high or low from outside. An output that
// pushes and pulls is stronger.
func (c *Chip) Drive(offset uint32, high bool) {
	drive := gpiochip.PullDown
	if high {
		drive = gpiochip.PullUp
	}
	c.change(offset, func(l *line) { l.drive = drive })
}

// Float takes off what Drive put on the line at offset: its bias holds it again.
func (c *Chip) Float(offset uint32) {
	c.change(offset, func(l *line) { l.drive = gpiochip.BiasAsIs })
}

// Resistor solders a pull-up or pull-down to the line at offset, which holds it
// while nobody drives it and the chip gives it no bias.
func (c *Chip) Resistor(offset uint32, bias gpiochip.Bias) {
	c.change(offset, func(l *line) { l.resistor = bias })
}

// Hold makes another program or driver the holder of the line at offset; the
// empty name lets go of it.
func (c *Chip) Hold(offset uint32, consumer string) {
	c.change(offset, func(l *line) { l.holder = consumer })
}

// Stick leaves lines that are given back as they are, as the driver of Raspberry Pi OS
// does (persist_gpio_outputs).
func (c *Chip) Stick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sticks = true
}

// Level returns the physical level of the line at offset.
func (c *Chip) Level(offset uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[offset].level
}

// Driven reports whether the line at offset is an output now.
func (c *Chip) Driven(offset uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[offset].config.Direction == gpiochip.Output
}

// Trace returns all the levels that the line at offset has had, oldest first,
// since the last call: the present one is always there, and neighbours differ.
func (c *Chip) Trace(offset uint32) []bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lines[offset]
	t := l.trace
	l.trace = []bool{l.level}
	return t
}

// Unplug takes the chip away: every handle and every line of it is dead.
func (c *Chip) Unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	c.plugs++
	for r := range c.taken {
		c.end(r, fmt.Errorf("lines of %q: %w", r.consumer, gpiochip.ErrGone))
	}
}

// Replug brings the chip back. It must be opened again.
func (c *Chip) Replug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = false
}

func (c *Chip) change(offset uint32, f func(*line)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lines[offset]
	f(l)
	c.update(l)
}

// update lets l have the level that what is connected to it demands.
func (c *Chip) update(l *line) {
	level := l.demanded()
	if level == l.level {
		return
	}
	l.level = level
	if l.trace = append(l.trace, level); len(l.trace) > traced {
		l.trace = l.trace[1:]
	}
	if l.owner == nil || l.config.Direction != gpiochip.Input {
		return
	}
	if l.config.Debounce > 0 {
		c.bounce(l)
		return
	}
	c.emit(l, l.logical())
}

// demanded is the level that wins: a driven output, then what drives from
// outside, then the chip's bias, then a resistor.
func (l *line) demanded() bool {
	if l.config.Direction == gpiochip.Output {
		high := l.value != l.config.ActiveLow
		if l.config.Drive == gpiochip.PushPull || high == (l.config.Drive == gpiochip.OpenSource) {
			return high
		}
	}
	for _, pull := range []gpiochip.Bias{l.drive, l.config.Bias, l.resistor} {
		if pull == gpiochip.PullUp || pull == gpiochip.PullDown {
			return pull == gpiochip.PullUp
		}
	}
	return false
}

func (l *line) logical() bool { return l.level != l.config.ActiveLow }

// bounce starts the time anew in which l must not change, as the kernel's
// debounce does (debounce_irq_handler).
func (c *Chip) bounce(l *line) {
	if l.settle != nil {
		l.settle.Stop()
	}
	owner := l.owner
	l.settle = time.AfterFunc(l.config.Debounce, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.owner == owner && l.debounced != l.logical() {
			l.debounced = l.logical()
			c.emit(l, l.debounced)
		}
	})
}

// emit queues an event for the line's owner, if that one wants it.
func (c *Chip) emit(l *line, rising bool) {
	edge := gpiochip.Falling
	if rising {
		edge = gpiochip.Rising
	}
	if l.config.Edges&edge == 0 {
		return
	}
	clock := time.Since(c.start)
	if l.owner.clock == gpiochip.Realtime {
		clock = time.Duration(time.Now().UnixNano())
	}
	l.owner.queue(gpiochip.Event{Offset: l.config.Offset, Edge: edge, Time: clock}, l.index)
}
