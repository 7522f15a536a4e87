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
	Debounce time.Duration `yaml:"debounce" doc:"how long an input must be still before its new state counts, unless the pin says otherwise; 0s turns it off"`
	Pins     []Pin         `yaml:"pins" doc:"the lines, each of which is an entity"`
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

	Direction string `yaml:"direction" doc:"input or output"`
	ActiveLow bool   `yaml:"active_low" doc:"ON is the low level: a button to ground, most relay boards"`
	Bias      string `yaml:"bias" doc:"the resistor within the chip: pull-up, pull-down, disabled, or as-is (what the firmware set)"`

	Debounce *time.Duration `yaml:"debounce" doc:"of an input: how long it must be still before its new state counts"`

	Drive   string `yaml:"drive" doc:"of an output: push-pull, open-drain or open-source"`
	Initial string `yaml:"initial" doc:"of an output: off or on from the first moment after a start; there is no other level between"`
	OnExit  string `yaml:"on_exit" doc:"of an output: off, on or keep when edge stops, before the line is given back; what the level is after that is up to the kernel's driver and to resistors"`
}

// Values of Direction, Initial and OnExit.
const (
	Input  = "input"
	Output = "output"
	Off    = "off"
	On     = "on"
	Keep   = "keep"
)

var (
	directions = []string{Input, Output}
	biases     = []string{"as-is", "pull-up", "pull-down", "disabled"}
	drives     = []string{"push-pull", "open-drain", "open-source"}
	initials   = []string{Off, On}
	exits      = []string{Off, On, Keep}
)

// maxDebounce keeps a typing mistake from making an input deaf.
const maxDebounce = time.Minute

// DefaultConfig has no pins; inputs must be still for 10 ms.
func DefaultConfig() Config { return Config{Debounce: 10 * time.Millisecond} }

// Validate reports everything that is wrong with c, by paths such as
// pins[1].bias. It does not look at the board.
func (c Config) Validate() error {
	errs := []error{checkDebounce("debounce", c.Debounce)}
	if len(c.Pins) == 0 {
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
	return errors.Join(errs...)
}

var validID = regexp.MustCompile(`^[a-z0-9_-]+$`)

// identity checks what the pin is called and which line it is.
func (p Pin) identity(at func(string) string) error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, config.Errorf(at(field), format, args...))
	}
	switch {
	case p.ID == "":
		add("id", "must be set")
	case !validID.MatchString(p.ID):
		add("id", "%q may have a-z, 0-9, _ and - only", p.ID)
	case p.ID == "status" || p.ID == "meta":
		add("id", "%q is the name of a topic of the bridge itself", p.ID)
	}
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
		oneOf(at("direction"), p.Direction, directions),
		oneOf(at("bias"), p.Bias, append(biases, "")),
		oneOf(at("drive"), p.Drive, append(drives, "")),
		oneOf(at("initial"), p.Initial, append(initials, "")),
		oneOf(at("on_exit"), p.OnExit, append(exits, "")),
	}
	if p.Debounce != nil {
		errs = append(errs, checkDebounce(at("debounce"), *p.Debounce))
	}
	only := func(direction, field string, set bool) {
		if set && p.Direction != direction && slices.Contains(directions, p.Direction) {
			errs = append(errs, config.Errorf(at(field), "only an %s has it", direction))
		}
	}
	only(Input, "debounce", p.Debounce != nil)
	only(Output, "drive", p.Drive != "")
	only(Output, "initial", p.Initial != "")
	only(Output, "on_exit", p.OnExit != "")
	return errors.Join(errs...)
}

func oneOf(path, value string, values []string) error {
	if slices.Contains(values, value) {
		return nil
	}
	values = slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
	return config.Errorf(path, "%q is not one of %s", value, strings.Join(values, ", "))
}

func checkDebounce(path string, d time.Duration) error {
	if d < 0 || d > maxDebounce {
		return config.Errorf(path, "%v is not between 0s and %v", d, maxDebounce)
	}
	return nil
}

// lineConfig is how the line of p is asked for, but for its offset.
func (p Pin) lineConfig(debounce time.Duration) gpiochip.LineConfig {
	cfg := gpiochip.LineConfig{
		ActiveLow: p.ActiveLow,
		Bias: map[string]gpiochip.Bias{"pull-up": gpiochip.PullUp, "pull-down": gpiochip.PullDown,
			"disabled": gpiochip.BiasDisabled}[p.Bias],
	}
	if p.Direction == Output {
		cfg.Direction = gpiochip.Output
		cfg.Drive = map[string]gpiochip.Drive{"open-drain": gpiochip.OpenDrain, "open-source": gpiochip.OpenSource}[p.Drive]
		cfg.Value = p.Initial == On
		return cfg
	}
	cfg.Direction, cfg.Edges, cfg.Debounce = gpiochip.Input, gpiochip.BothEdges, debounce
	if p.Debounce != nil {
		cfg.Debounce = *p.Debounce
	}
	return cfg
}
