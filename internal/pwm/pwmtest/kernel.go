// Package pwmtest is PWM chips in memory that keep the rules of the kernel's files,
// for tests.
package pwmtest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"edge/internal/pwm"
)

var _ pwm.Tree = (*Kernel)(nil)

// A Kernel has PWM chips. Its methods may be called from several goroutines at once.
type Kernel struct {
	mu    sync.Mutex
	chips map[string]*chip
}

type chip struct {
	device   string
	channels []*channel
}

// A channel is one that is exported, or not.
type channel struct {
	exported, held bool
	enabled        bool
	period, duty   int64
	polarity       string
	levels         []float64 // each part of the time for which it was on; see Levels
}

// Add plugs a chip in, whose channels are not exported.
func (k *Kernel) Add(name, device string, channels int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.chips == nil {
		k.chips = make(map[string]*chip)
	}
	c := &chip{device: device}
	for range channels {
		c.channels = append(c.channels, &channel{polarity: "normal"})
	}
	k.chips[name] = c
}

// Remove pulls a chip.
func (k *Kernel) Remove(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.chips, name)
}

// Hold has a driver of the kernel hold a channel.
func (k *Kernel) Hold(name string, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.chips[name].channels[n].held = true
}

// Levels returns for which part of the time the pin of a channel was high, each
// value that is another than the one before, from low on.
func (k *Kernel) Levels(name string, n int) []float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]float64{0}, k.chips[name].channels[n].levels...)
}

// Chips implements pwm.Tree.
func (k *Kernel) Chips() ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for name := range k.chips {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Device implements pwm.Tree.
func (k *Kernel) Device(name string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.chips[name]; c != nil {
		return c.device, nil
	}
	return "", os.ErrNotExist
}

// find returns what a path names: pwmchip0/npwm, or pwmchip0/pwm1/period.
func (k *Kernel) find(path string) (c *chip, ch *channel, file string, err error) {
	parts := strings.Split(path, "/")
	if c = k.chips[parts[0]]; c == nil {
		return nil, nil, "", fmt.Errorf("%s: %w", path, os.ErrNotExist)
	}
	if len(parts) == 2 {
		return c, nil, parts[1], nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(parts[1], "pwm"))
	if err != nil || n < 0 || n >= len(c.channels) || !c.channels[n].exported {
		return nil, nil, "", fmt.Errorf("%s: %w", path, os.ErrNotExist)
	}
	return c, c.channels[n], parts[2], nil
}

// Read implements pwm.Tree.
func (k *Kernel) Read(path string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ch, file, err := k.find(path)
	switch {
	case err != nil:
		return "", err
	case ch == nil && file == "npwm":
		return strconv.Itoa(len(c.channels)), nil
	case ch == nil:
		return "", os.ErrPermission // export and unexport can be written only
	case file == "polarity":
		return ch.polarity, nil
	case file == "enable" && ch.enabled:
		return "1", nil
	case file == "enable":
		return "0", nil
	case file == "period":
		return strconv.FormatInt(ch.period, 10), nil
	case file == "duty_cycle":
		return strconv.FormatInt(ch.duty, 10), nil
	}
	return "", os.ErrNotExist
}

// Write implements pwm.Tree.
func (k *Kernel) Write(path, value string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ch, file, err := k.find(path)
	if err != nil {
		return err
	}
	if ch == nil {
		return c.export(file, value)
	}
	next := *ch
	if err := next.set(file, value); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	*ch = next
	ch.record()
	return nil
}

func (c *chip) export(file, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n >= len(c.channels) {
		return syscall.ENODEV
	}
	ch := c.channels[n]
	switch {
	case file == "export" && (ch.exported || ch.held):
		return syscall.EBUSY
	case file == "export":
		ch.exported = true
	case file == "unexport" && !ch.exported:
		return syscall.ENODEV
	case file == "unexport":
		ch.exported = false
	default:
		return os.ErrNotExist
	}
	return nil
}

// set changes one thing, if what comes of it can be (pwm_state_valid and
// pwm_apply_might_sleep in drivers/pwm/core.c; polarity is refused by some drivers
// while the channel is on, and here).
func (ch *channel) set(file, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case file == "polarity" && (value == "normal" || value == "inversed"):
		if ch.enabled && value != ch.polarity {
			return syscall.EBUSY
		}
		ch.polarity = value
	case err != nil || n < 0:
		return syscall.EINVAL
	case file == "period":
		ch.period = n
	case file == "duty_cycle":
		ch.duty = n
	case file == "enable" && n <= 1:
		ch.enabled = n == 1
	default:
		return syscall.EINVAL
	}
	if ch.period == 0 || ch.duty > ch.period {
		return syscall.EINVAL
	}
	return nil
}

// record keeps in mind how long the pin is high.
func (ch *channel) record() {
	high := 0.0
	if ch.enabled {
		high = float64(ch.duty) / float64(ch.period)
		if ch.polarity == "inversed" {
			high = 1 - high
		}
	}
	// A disabled channel is low.
	before := 0.0
	if len(ch.levels) > 0 {
		before = ch.levels[len(ch.levels)-1]
	}
	if high != before {
		ch.levels = append(ch.levels, high)
	}
}
