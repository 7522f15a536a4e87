// Package pwm drives the channels of PWM chips through the files of the kernel in
// /sys/class/pwm (Documentation/ABI/testing/sysfs-class-pwm, driver-api/pwm.rst).
// Package pwmtest is a kernel that keeps the same rules. It knows no boards, and
// makes no waves of its own.
package pwm

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Tree is /sys/class/pwm, or what takes its place. Paths are relative to it.
type Tree interface {
	// Chips returns the names of the chips, such as pwmchip0.
	Chips() ([]string, error)

	// Device returns the name of the device that a chip is of, such as
	// fe20c000.pwm. The numbers of chips differ between boots; this does not.
	Device(chip string) (string, error)

	// Read and Write are those of one file.
	Read(path string) (string, error)
	Write(path, value string) error
}

// A Wave is what a channel makes. Duty is how much of Period it is on: none and all
// of it are steady levels.
type Wave struct {
	Period time.Duration
	Duty   time.Duration
	// Inverted has the channel be on while it is low.
	Inverted bool
}

// A Channel is one output of a chip that was exported. One goroutine uses it.
type Channel struct {
	tree Tree
	dir  string // pwmchip0/pwm1
	chip string
	n    int
}

// Open exports a channel of the chip of a device; without a name, of the only chip
// that there is. A channel that is exported already is taken over as it runs.
func Open(tree Tree, device string, channel int) (*Channel, error) {
	chip, err := find(tree, device)
	if err != nil {
		return nil, err
	}
	count, err := tree.Read(chip + "/npwm")
	if err != nil {
		return nil, advise(fmt.Errorf("read how many channels %s has: %w", chip, err))
	}
	if n, err := strconv.Atoi(count); err != nil || channel < 0 || channel >= n {
		return nil, fmt.Errorf("%s has no channel %d: it has %s, from 0", chip, channel, count)
	}
	c := &Channel{tree: tree, dir: fmt.Sprintf("%s/pwm%d", chip, channel), chip: chip, n: channel}
	if _, err := tree.Read(c.dir + "/enable"); !errors.Is(err, os.ErrNotExist) {
		return c, advise(err) // It is exported, and may be running.
	}
	if err := tree.Write(chip+"/export", strconv.Itoa(channel)); err != nil {
		if errors.Is(err, syscall.EBUSY) {
			return nil, fmt.Errorf("channel %d of %s is held by a driver of the kernel, such as that of a fan or of a backlight: %w", channel, chip, err)
		}
		return nil, advise(fmt.Errorf("export channel %d of %s: %w", channel, chip, err))
	}
	return c, nil
}

// find returns the chip of a device.
func find(tree Tree, device string) (string, error) {
	chips, err := tree.Chips()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("list PWM chips: %w", err)
	}
	if len(chips) == 0 {
		return "", errors.New("this machine has no PWM chip: on a Raspberry Pi, write dtoverlay=pwm-2chan into config.txt (which takes the pins from the sound) and start it again")
	}
	var names []string
	for _, chip := range chips {
		name, err := tree.Device(chip)
		if err != nil {
			continue // It has just gone.
		}
		if name == device || device == "" && len(chips) == 1 {
			return chip, nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if device == "" {
		return "", fmt.Errorf("there are several PWM chips; name one: %s", strings.Join(names, ", "))
	}
	return "", fmt.Errorf("no PWM chip is that of the device %q: there are %s", device, strings.Join(names, ", "))
}

// advise adds what a person can do about a lack of rights.
func advise(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: let the group of this user write to /sys/class/pwm, by a rule of udev such as that of Raspberry Pi OS for the group gpio; right after the export, udev may need a moment", err)
	}
	return err
}

// number reads a file that holds a number.
func (c *Channel) number(file string) (int64, error) {
	text, err := c.tree.Read(c.dir + "/" + file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// Wave returns what the channel makes, and whether it is on at all.
func (c *Channel) Wave() (w Wave, enabled bool, err error) {
	var errs [4]error
	var period, duty, on int64
	var polarity string
	period, errs[0] = c.number("period")
	duty, errs[1] = c.number("duty_cycle")
	on, errs[2] = c.number("enable")
	polarity, errs[3] = c.tree.Read(c.dir + "/polarity")
	if errors.Is(errs[3], os.ErrNotExist) && errors.Join(errs[:3]...) == nil {
		polarity, errs[3] = "normal", nil // The file is there only if the chip can invert.
	}
	if err := errors.Join(errs[:]...); err != nil {
		return w, false, fmt.Errorf("read channel %d of %s: %w", c.n, c.chip, err)
	}
	return Wave{time.Duration(period), time.Duration(duty), polarity == inversed}, on == 1, nil
}

// The kernel's words for a polarity.
const (
	normal   = "normal"
	inversed = "inversed"
)

// Set has the channel make w. On the way there it is never on for a greater part of
// the time than before or after, unless its polarity has to be changed: the kernel
// does that only to a channel that is off.
func (c *Channel) Set(w Wave) error {
	is, enabled, err := c.Wave()
	if err != nil {
		return err
	}
	if w.Period <= 0 || w.Duty < 0 || w.Duty > w.Period {
		return fmt.Errorf("a channel cannot be on for %v of %v", w.Duty, w.Period)
	}
	var steps []step
	turn := is.Inverted != w.Inverted
	if turn && enabled {
		steps = append(steps, step{"enable", "0"})
	}
	steps = append(steps, timing(is, w)...)
	if turn {
		steps = append(steps, step{"polarity", polarity(w.Inverted)}) // which the kernel wants a period for
	}
	if turn || !enabled {
		steps = append(steps, step{"enable", "1"})
	}
	return c.do(steps)
}

// A step is one file to be written.
type step struct{ file, value string }

// timing changes the period and the duty one after the other, in the order in which
// the duty is not above the period, and its part of it not above both.
func timing(is, w Wave) []step {
	period := step{"period", strconv.FormatInt(int64(w.Period), 10)}
	duty := step{"duty_cycle", strconv.FormatInt(int64(w.Duty), 10)}
	var steps []step
	if w.Period > is.Period {
		steps = append(steps, period)
	}
	if w.Duty != is.Duty {
		steps = append(steps, duty)
	}
	if w.Period < is.Period {
		steps = append(steps, period)
	}
	return steps
}

func polarity(inverted bool) string {
	if inverted {
		return inversed
	}
	return normal
}

func (c *Channel) do(steps []step) error {
	for _, s := range steps {
		if err := c.tree.Write(c.dir+"/"+s.file, s.value); err != nil {
			return advise(fmt.Errorf("write %s to %s of channel %d of %s: %w", s.value, s.file, c.n, c.chip, err))
		}
	}
	return nil
}

// Close makes the duty nothing and gives the channel back. One that is inverted is
// not: a pin whose channel was disabled is low on most chips, which would be on.
// Who wants a channel to run on does not close it.
func (c *Channel) Close() error {
	w, enabled, err := c.Wave()
	if err != nil {
		return err
	}
	var off error
	if w.Period > 0 {
		off = c.do([]step{{"duty_cycle", "0"}})
	}
	if w.Inverted && enabled {
		return off
	}
	if enabled {
		off = errors.Join(off, c.do([]step{{"enable", "0"}}))
	}
	if err := c.tree.Write(c.chip+"/unexport", strconv.Itoa(c.n)); err != nil {
		return errors.Join(off, fmt.Errorf("give channel %d of %s back: %w", c.n, c.chip, err))
	}
	return off
}
