package gpio

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"edge/internal/config"
	"edge/internal/gpiochip"
)

// Config is the configuration of a bridge to GPIO lines.
type Config struct {
	Debounce   time.Duration `yaml:"debounce" doc:"how long an input must be still before its new state counts, unless the pin says otherwise; 0s turns it off"`
	Pins       []Pin         `yaml:"pins" doc:"the lines, each of which is an entity"`
	Flapping   Flapping      `yaml:"flapping" doc:"when an input changes too often to be told"`
	Interlocks []Interlock   `yaml:"interlocks" doc:"outputs of which only one may be on at a time"`
	PWM        []PWM         `yaml:"pwm" doc:"channels of PWM chips, each of which is a number from 0 to 100; for ordinary outputs there is soft_pwm"`
	Covers     []Cover       `yaml:"covers" doc:"blinds, shutters, awnings and gates, each with an output for each direction"`
}

// Reads returns what leases listen to.
func (c Config) Reads() []string {
	var filters []string
	for _, p := range c.Pins {
		if p.Lease.Topic != "" {
			filters = append(filters, p.Lease.Topic)
		}
	}
	if c.leasesOfCommanders() {
		filters = append(filters, goneTopic)
	}
	return filters
}

func (c Config) leasesOfCommanders() bool {
	return slices.ContainsFunc(c.Pins, func(p Pin) bool { return p.Lease.Commander })
}

// An Interlock is outputs that exclude each other, such as the two directions of
// a motor.
type Interlock struct {
	Pins     []string      `yaml:"pins" doc:"the ids of two or more outputs on the same chip"`
	DeadTime time.Duration `yaml:"dead_time" doc:"how long all of them are off before another goes on, at least 15ms: a relay needs as long to fall"`
}

// A Pin is one line and what it means. Exactly one of Pin, Line and Offset says
// which line it is.
type Pin struct {
	ID    string `yaml:"id" doc:"the name in topics: a-z, 0-9, _ and -"`
	Name  string `yaml:"name" doc:"the name for people"`
	Class string `yaml:"class" doc:"what is switched or sensed, such as door, motion, window, outlet; Home Assistant's device classes are understood everywhere"`

	Pin    string `yaml:"pin" doc:"the line by its place on the 40-pin header of a Raspberry Pi: GPIO17, or the number of the pin, 11"`
	Line   string `yaml:"line" doc:"the line by the name that the chip gives it (see edge pins); names differ between boards and kernels"`
	Offset *int   `yaml:"offset" doc:"the line by its number on the chip, from 0"`
	Chip   string `yaml:"chip" doc:"the label of the chip that line and offset belong to, such as pinctrl-bcm2711; left out, that of the header"`

	Direction Direction `yaml:"direction" doc:"input or output"`
	ActiveLow bool      `yaml:"active_low" doc:"ON is the low level: a button to ground, most relay boards"`
	Bias      Bias      `yaml:"bias" doc:"the resistor within the chip: pull-up, pull-down, disabled, or as-is (what the firmware set)"`

	Debounce     *time.Duration `yaml:"debounce" doc:"of an input: how long it must be still before its new state counts"`
	DebounceMode DebounceMode   `yaml:"debounce_mode" doc:"of an input: stable (a state counts when it was still for the time of debounce; the default) or immediate (the first edge counts at once, and what follows must be still)"`
	Clicks       *Clicks        `yaml:"clicks" doc:"of an input that is a button: tell press, release, single, double, triple, long and hold on …/event; {} is enough"`
	Counter      *Counter       `yaml:"counter" doc:"of an input that is a meter: count its pulses, as the sensors …_total and …_rate"`
	Measure      []Quantity     `yaml:"measure" doc:"of an input: frequency, duty or on_time, each a sensor …_frequency, …_duty (percent) or …_on_time (seconds in a window)"`
	Window       time.Duration  `yaml:"window" doc:"over which time to measure, 10s if left out; longer than the periods of the signal"`

	Drive   Drive   `yaml:"drive" doc:"of an output: push-pull, open-drain or open-source"`
	Initial Initial `yaml:"initial" doc:"of an output: off, on, last (what it was before), inverted-last or hardware (what the line is found to be) from the first moment after a start; there is no other level between"`
	Warm    Initial `yaml:"initial_warm" doc:"of an output: the same when edge was restarted and the board was not; initial if left out"`
	OnExit  Exit    `yaml:"on_exit" doc:"of an output: off, on or keep when edge stops, before the line is given back; what the level is after that is up to the kernel's driver and to resistors"`
	Safe    Safe    `yaml:"safe" doc:"of an output: off or on, what it becomes when nobody is there to answer for it; off if left out"`

	MaxOn     time.Duration `yaml:"max_on" doc:"of an output: how long it may be on at a time; then it goes off by itself, whatever is commanded"`
	MinOn     time.Duration `yaml:"min_on" doc:"of an output: how long it stays on; commands to go off before are refused"`
	MinOff    time.Duration `yaml:"min_off" doc:"of an output: how long it stays off, after a start, too; commands to go on before are refused"`
	PerMinute int           `yaml:"per_minute" doc:"of an output: how often it may go on within a minute; more is refused"`
	MaxAge    time.Duration `yaml:"max_age" doc:"of an output: the greatest age of a command, which must then say when it was sent"`
	Retrigger Retrigger     `yaml:"retrigger" doc:"of an output: what a timed ON does while another is running: restart its time, extend it, or ignore the newer one"`
	Lease     Lease         `yaml:"lease" doc:"of an output: what must keep coming while it is on, or it becomes what safe says"`

	SoftPWM *SoftPWM `yaml:"soft_pwm" doc:"of an output: makes it a number from 0 to 100 that this program switches on for a part of each period; its times are as exact as the program is scheduled, so it is for heaters, not for motors and lamps"`
}

// A Lease is what must keep coming while an output is not at rest.
type Lease struct {
	Time      time.Duration `yaml:"time" doc:"the longest silence; with commander, how long the output waits for somebody else"`
	Topic     string        `yaml:"topic" doc:"a topic on which messages must arrive; without it, ON must be commanded again"`
	Commander bool          `yaml:"commander" doc:"who has commanded it must stay connected instead"`
}

// What the fields of these types may be.
const (
	Input  = "input"
	Output = "output"

	AsIs     = "as-is"
	PullUp   = "pull-up"
	PullDown = "pull-down"
	Disabled = "disabled"

	PushPull   = "push-pull"
	OpenDrain  = "open-drain"
	OpenSource = "open-source"

	Off  = "off"
	On   = "on"
	Keep = "keep"

	Last         = "last"
	InvertedLast = "inverted-last"
	Hardware     = "hardware"

	Restart = "restart"
	Extend  = "extend"
	Ignore  = "ignore"
)

// A Direction is which way a line goes.
type Direction string

// Values lists what a Direction may be.
func (Direction) Values() []string { return []string{Input, Output} }

// A Bias is what holds a line that nobody drives.
type Bias string

// Values lists what a Bias may be.
func (Bias) Values() []string { return []string{AsIs, PullUp, PullDown, Disabled} }

// A Drive is how an output drives its line.
type Drive string

// Values lists what a Drive may be.
func (Drive) Values() []string { return []string{PushPull, OpenDrain, OpenSource} }

// An Initial is what an output is from the first moment on.
type Initial string

// Values lists what an Initial may be.
func (Initial) Values() []string { return []string{Off, On, Last, InvertedLast, Hardware} }

// remembers reports whether i needs what was before.
func (i Initial) remembers() bool { return i == Last || i == InvertedLast }

// An Exit is what an output is made before it is given back.
type Exit string

// Values lists what an Exit may be.
func (Exit) Values() []string { return []string{Off, On, Keep} }

// A Safe is what an output becomes when nobody is there to answer for it.
type Safe string

// Values lists what a Safe may be.
func (Safe) Values() []string { return []string{Off, On} }

// A Retrigger is what a timed command does while another is running.
type Retrigger string

// Values lists what a Retrigger may be.
func (Retrigger) Values() []string { return []string{Restart, Extend, Ignore} }

// maxDebounce keeps a typing mistake from making an input deaf.
const maxDebounce = time.Minute

// DefaultConfig has no pins; inputs must be still for 10 ms, and change 100 times
// a second at most for long.
func DefaultConfig() Config {
	return Config{Debounce: 10 * time.Millisecond, Flapping: Flapping{Changes: 1000, Window: 10 * time.Second}}
}

// Validate reports everything that is wrong with c, by paths such as
// pins[1].bias. It does not look at the board.
func (c Config) Validate() error {
	errs := []error{checkDebounce("debounce", c.Debounce), config.In("flapping", c.Flapping.validate())}
	if len(c.Pins) == 0 && len(c.PWM) == 0 {
		errs = append(errs, config.Errorf("pins", "there are none; name at least one"))
	}
	ids, lines := map[string]int{}, map[string]int{}
	for i, p := range c.Pins {
		at := func(field string) string { return fmt.Sprintf("pins[%d].%s", i, field) }
		errs = append(errs, p.identity(at), p.settings(at))
		if first, taken := ids[p.ID]; taken && p.ID != "" {
			errs = append(errs, config.Errorf(at("id"), "%q is already pin %d", p.ID, first))
		} else {
			ids[p.ID] = i
		}
		field, line := p.line()
		if first, taken := lines[line]; taken && line != "" {
			errs = append(errs, config.Errorf(at(field), "%s is already pin %d, %q", line, first, c.Pins[first].ID))
		} else {
			lines[line] = i
		}
	}
	return errors.Join(append(errs, c.checkInterlocks(), c.checkCovers(), c.checkPWM(), c.checkNames(), c.checkSensors())...)
}

var validID = regexp.MustCompile(`^[a-z0-9_-]+$`)

// checkID checks the name of an entity.
func checkID(path, id string) error {
	switch {
	case id == "":
		return config.Errorf(path, "must be set")
	case !validID.MatchString(id):
		return config.Errorf(path, "%q may have a-z, 0-9, _ and - only", id)
	case id == "status" || id == "meta":
		return config.Errorf(path, "%q is the name of a topic of the bridge itself", id)
	}
	return nil
}

// identity checks what the pin is called and which line it is.
func (p Pin) identity(at func(string) string) error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, config.Errorf(at(field), format, args...))
	}
	errs = append(errs, checkID(at("id"), p.ID))
	fields := p.fields()
	switch {
	case len(fields) == 0:
		add("pin", "which line is it? Set pin, line or offset")
	case len(fields) > 1:
		add(fields[1], "the line is named by %s already; keep one of %s", fields[0], strings.Join(fields, ", "))
	}
	if p.Pin != "" {
		if _, ok := headerOffset(p.Pin); !ok {
			add("pin", "%q is no line of the header: GPIO0 to GPIO27, or a pin from 1 to 40 that is no supply", p.Pin)
		}
		if p.Chip != "" {
			add("chip", "pin is always on the chip of the header; leave chip out, or use offset")
		}
	}
	if p.Offset != nil && (*p.Offset < 0 || *p.Offset > 1<<16) {
		add("offset", "%d is no line of a chip; lines count from 0", *p.Offset)
	}
	return errors.Join(errs...)
}

// fields returns which fields say which line the pin is.
func (p Pin) fields() []string {
	var fields []string
	if p.Pin != "" {
		fields = append(fields, "pin")
	}
	if p.Line != "" {
		fields = append(fields, "line")
	}
	if p.Offset != nil {
		fields = append(fields, "offset")
	}
	return fields
}

// line returns a text that is the same for the same line, as far as that can be
// known without the board, and the field that it comes from.
func (p Pin) line() (field, line string) {
	chip := ""
	if p.Chip != "" {
		chip = " of " + p.Chip
	}
	offset, ok := headerOffset(p.Pin)
	switch {
	case p.Pin != "" && ok:
		return "pin", fmt.Sprintf("line %d", offset)
	case p.Offset != nil:
		return "offset", fmt.Sprintf("line %d%s", *p.Offset, chip)
	case p.Line != "":
		return "line", p.Line + chip
	}
	return "pin", ""
}

// settings checks how the line is to be set up.
func (p Pin) settings(at func(string) string) error {
	errs := []error{
		oneOf(at("bias"), p.Bias),
		oneOf(at("drive"), p.Drive),
		oneOf(at("initial"), p.Initial),
		oneOf(at("initial_warm"), p.Warm),
		oneOf(at("on_exit"), p.OnExit),
		oneOf(at("safe"), p.Safe),
	}
	if p.Direction == "" {
		errs = append(errs, config.Errorf(at("direction"), "must be set: %s", strings.Join(p.Direction.Values(), " or ")))
	} else {
		errs = append(errs, oneOf(at("direction"), p.Direction))
	}
	only := func(direction Direction, field string, set bool) {
		if set && p.Direction != direction && slices.Contains(direction.Values(), string(p.Direction)) {
			errs = append(errs, config.Errorf(at(field), "only an %s has it", direction))
		}
	}
	errs = append(errs, p.inputSettings(at, only))
	only(Output, "drive", p.Drive != "")
	only(Output, "initial", p.Initial != "")
	only(Output, "initial_warm", p.Warm != "")
	only(Output, "on_exit", p.OnExit != "")
	only(Output, "safe", p.Safe != "")
	only(Output, "max_on", p.MaxOn != 0)
	only(Output, "min_on", p.MinOn != 0)
	only(Output, "min_off", p.MinOff != 0)
	only(Output, "lease", p.Lease != Lease{})
	only(Output, "max_age", p.MaxAge != 0)
	only(Output, "per_minute", p.PerMinute != 0)
	only(Output, "retrigger", p.Retrigger != "")
	return errors.Join(append(errs, p.bounds(at))...)
}

// oneOf reports a value that is set and that its type does not have.
func oneOf[T interface {
	~string
	Values() []string
}](path string, value T) error {
	if value == "" || slices.Contains(value.Values(), string(value)) {
		return nil
	}
	return config.Errorf(path, "%q is not one of %s", string(value), strings.Join(value.Values(), ", "))
}

func checkDebounce(path string, d time.Duration) error {
	if d < 0 || d > maxDebounce {
		return config.Errorf(path, "%v is not between 0s and %v", d, maxDebounce)
	}
	return nil
}

// What is left out is as it is, and push-pull.
var (
	biases = map[Bias]gpiochip.Bias{PullUp: gpiochip.PullUp, PullDown: gpiochip.PullDown, Disabled: gpiochip.BiasDisabled}
	drives = map[Drive]gpiochip.Drive{OpenDrain: gpiochip.OpenDrain, OpenSource: gpiochip.OpenSource}
)

// lineConfig is how the line of p is asked for, but for its offset.
func (p Pin) lineConfig(debounce time.Duration) gpiochip.LineConfig {
	cfg := gpiochip.LineConfig{ActiveLow: p.ActiveLow, Bias: biases[p.Bias]}
	if p.Direction == Output {
		cfg.Direction = gpiochip.Output
		cfg.Drive, cfg.Safe = drives[p.Drive], p.Safe == On
		return cfg
	}
	cfg.Direction, cfg.Edges = gpiochip.Input, gpiochip.BothEdges
	if p.DebounceMode != Immediate { // The kernel knows no other mode than stable.
		cfg.Debounce = p.debounce(debounce)
	}
	return cfg
}
