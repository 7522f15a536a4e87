package gpio

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"edge/internal/config"
)

// Bounds of what is configured of PWM.
const (
	minFrequency = 0.1 // Hz
	maxFrequency = 10e6
	minSoft      = 10 * time.Millisecond // of a period; what a program can keep
	maxSoft      = time.Hour
)

// A PWM is a channel of a PWM chip: a fan, a dimmed lamp. It is a number from 0 to 100.
type PWM struct {
	ID   string `yaml:"id" doc:"the name in topics: a-z, 0-9, _ and -"`
	Name string `yaml:"name" doc:"the name for people"`

	Chip    string `yaml:"chip" doc:"the PWM chip by its device, such as fe20c000.pwm (see /sys/class/pwm/*/device); left out, the only one that there is"`
	Channel int    `yaml:"channel" doc:"the channel of the chip, from 0"`

	Frequency float64       `yaml:"frequency" doc:"how often it goes on in a second, in Hz; 25000 for fans"`
	Inverted  bool          `yaml:"inverted" doc:"the pin is low while it is on"`
	Min       float64       `yaml:"min" doc:"which part of the time the smallest value above 0 is, in percent: with less, what is driven may not start"`
	Max       float64       `yaml:"max" doc:"which part of the time 100 is, in percent; 100 if left out"`
	Initial   *float64      `yaml:"initial" doc:"the value at the start, from 0 to 100; safe if left out"`
	Safe      float64       `yaml:"safe" doc:"the value when nobody answers for it, from 0 to 100: when the lease runs out, and when edge stops"`
	OnExit    PWMExit       `yaml:"on_exit" doc:"what becomes of it when edge stops: safe is its safe value, where 0 switches it off; keep lets it run on"`
	Lease     time.Duration `yaml:"lease" doc:"how long a value lasts that is not commanded again; then it becomes safe"`
}

// A PWMExit is what becomes of a channel when the bridge ends.
type PWMExit string

// ToSafe is what a PWMExit may be; Keep is the other.
const ToSafe = "safe"

// Values lists what a PWMExit may be.
func (PWMExit) Values() []string { return []string{ToSafe, Keep} }

// A SoftPWM makes an output a number from 0 to 100: this program switches it on for
// a part of each period.
type SoftPWM struct {
	Period  time.Duration `yaml:"period" doc:"how long on and off take together, at least 10ms; seconds for heaters with a solid-state relay, minutes for relays"`
	Min     float64       `yaml:"min" doc:"which part of the period the smallest value above 0 is, in percent"`
	Max     float64       `yaml:"max" doc:"which part of the period 100 is, in percent; 100 if left out"`
	Initial *float64      `yaml:"initial" doc:"the value at the start, from 0 to 100; safe if left out"`
	Safe    float64       `yaml:"safe" doc:"the value when nobody answers for it, from 0 to 100: when the lease runs out"`
	Lease   time.Duration `yaml:"lease" doc:"how long a value lasts that is not commanded again; then it becomes safe"`
}

// begin returns a dial as it begins.
func begin(initial *float64, safe float64, lease time.Duration) dial {
	d := dial{safe: safe, lease: lease, value: safe}
	if initial != nil {
		d.value = *initial
	}
	return d
}

// spanOf returns the span from low to high; no high is all of the time.
func spanOf(low, high float64) span {
	if high == 0 {
		high = 100
	}
	return span{low, high}
}

// dialled checks what PWM of both kinds have.
func dialled(low, high float64, initial *float64, safe float64, lease time.Duration) error {
	var errs []error
	percent := func(field string, v float64) {
		if !(v >= 0 && v <= 100) {
			errs = append(errs, config.Errorf(field, "%v is not between 0 and 100", v))
		}
	}
	percent("min", low)
	percent("max", high)
	percent("safe", safe)
	if initial != nil {
		percent("initial", *initial)
	}
	if s := spanOf(low, high); s.low > s.high {
		errs = append(errs, config.Errorf("max", "%v is less than min, %v", s.high, s.low))
	}
	if lease < 0 || lease > maxTime {
		errs = append(errs, config.Errorf("lease", "%v is not between 0s and %v", lease, maxTime))
	}
	return errors.Join(errs...)
}

// check reports what is wrong with p.
func (p PWM) check() error {
	errs := []error{
		checkID("id", p.ID), oneOf("on_exit", p.OnExit),
		dialled(p.Min, p.Max, p.Initial, p.Safe, p.Lease),
	}
	if p.Channel < 0 || p.Channel > 255 {
		errs = append(errs, config.Errorf("channel", "%d is no channel of a chip; they count from 0", p.Channel))
	}
	if !(p.Frequency >= minFrequency && p.Frequency <= maxFrequency) {
		errs = append(errs, config.Errorf("frequency", "must be %v to %.0f Hz, not %v", minFrequency, maxFrequency, p.Frequency))
	}
	return errors.Join(errs...)
}

// channel names the channel of p, as far as that can be known without the board.
func (p PWM) channel() string {
	if p.Chip == "" {
		return fmt.Sprintf("channel %d", p.Channel)
	}
	return fmt.Sprintf("channel %d of %s", p.Channel, p.Chip)
}

// checkPWM checks PWM of both kinds.
func (c Config) checkPWM() error {
	var errs []error
	taken := make(map[string]int)
	for i, p := range c.PWM {
		path := fmt.Sprintf("pwm[%d]", i)
		errs = append(errs, config.In(path, p.check()))
		if first, is := taken[p.channel()]; is {
			errs = append(errs, config.Errorf(path+".channel", "%s is already PWM %d, %q", p.channel(), first, c.PWM[first].ID))
			continue
		}
		taken[p.channel()] = i
	}
	for i, p := range c.Pins {
		if p.SoftPWM != nil {
			errs = append(errs, config.In(fmt.Sprintf("pins[%d].soft_pwm", i), p.checkSoft(c)))
		}
	}
	return errors.Join(errs...)
}

// checkSoft checks a pin with software PWM. What protects outputs that are switched
// by commands makes no sense of one that is switched in each period.
func (p Pin) checkSoft(c Config) error {
	s := *p.SoftPWM
	errs := []error{dialled(s.Min, s.Max, s.Initial, s.Safe, s.Lease)}
	if s.Period < minSoft || s.Period > maxSoft {
		errs = append(errs, config.Errorf("period", "must be %v to %v, not %v", minSoft, maxSoft, s.Period))
	}
	add := func(bad bool, what string) {
		if bad {
			errs = append(errs, config.Errorf("", "%s %s", p.ID, what))
		}
	}
	off := func(s string) bool { return s == "" || s == Off }
	add(p.Direction != Output, "is no output")
	add(!off(string(p.Initial)) || !off(string(p.Warm)), "begins with the initial of soft_pwm; leave that of the pin out")
	add(!off(string(p.OnExit)) || !off(string(p.Safe)), "is off when nobody switches it: on_exit and safe of the pin must be off")
	add(p.MaxOn > 0 || p.MinOn > 0 || p.MinOff > 0 || p.PerMinute > 0 || p.MaxAge > 0, "is switched in each period: max_on, min_on, min_off, per_minute and max_age have no meaning")
	add(p.Retrigger != "" || p.Lease != Lease{}, "has a retrigger or a lease of outputs; soft_pwm has a lease of its own")
	for i, l := range c.Interlocks {
		add(slices.Contains(l.Pins, p.ID), fmt.Sprintf("is in interlock %d: software PWM keeps no interlock", i))
	}
	return errors.Join(errs...)
}
