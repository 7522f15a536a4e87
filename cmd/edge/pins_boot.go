package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"edge/bridge/gpio"
)

// bootComment begins the lines for config.txt. What the firmware does with them is
// in "config.txt options: GPIO control" of Raspberry Pi's documentation.
const bootComment = `For %s, made by edge pins --boot-config from %s for %s. The firmware obeys some seconds after power-up, before Linux starts. Until then pins are inputs with the pulls of power-up, and only a resistor helps.`

// bootPi5 is said of boards whose firmware is in an EEPROM and whose pins are on
// another chip. The documentation excepts no model from the directive gpio.
const bootPi5 = `On this model it is the bootloader in the EEPROM that obeys: keep it up to date (sudo rpi-eeprom-update), and look at the pins after a start without edge (edge pins) before you rely on it.`

// bootRelease is about what becomes of outputs whose program is gone: pull requests
// 6117 and 6150 of raspberrypi/linux.
const bootRelease = `What an output is when edge has died is up to the kernel. Raspberry Pi's leaves it as it was. With the next line it becomes an input, which the pull above holds; and it does so at each restart of edge, too. edge guard needs neither.`

const bootConsole = `GPIO14 and GPIO15 are also the console. Without it they are quiet; take console=serial0,115200 out of cmdline.txt, too.`

// printBootConfig prints what the firmware can do for the configured pins, for a
// system whose files are below root.
func (a *app) printBootConfig(v pinsView, root string) error {
	if v.board.Other() {
		return fmt.Errorf("this is a %s: config.txt is read by the firmware of Raspberry Pis only", v.board.Model)
	}
	if len(v.roles) == 0 {
		return usageError{fmt.Errorf("no configuration with GPIO pins; name one with -c")}
	}
	lines, others := gpio.BootLines(v.board, v.roles)
	model := "a Raspberry Pi"
	if v.board.RaspberryPi() {
		model = "this " + v.board.Model
	}
	var b strings.Builder
	comment(&b, fmt.Sprintf(bootComment, bootFile(root), v.file, model))
	if v.board.SoC == "bcm2712" {
		comment(&b, bootPi5)
	}
	b.WriteString("[all]\n")
	console := false
	for _, l := range lines {
		comment(&b, fmt.Sprintf("pin %d GPIO%d %s: %s", l.Pin, l.Offset, l.Role, l.Comment))
		if l.Text != "" {
			b.WriteString(l.Text + "\n")
		}
		console = console || l.Offset == 14 || l.Offset == 15
	}
	if console {
		comment(&b, bootConsole)
		b.WriteString("#enable_uart=0\n")
	}
	comment(&b, bootRelease)
	b.WriteString("#dtparam=strict_gpiod\n")
	for _, r := range others {
		comment(&b, fmt.Sprintf("%s is on no pin of the header: only a resistor can hold it", r))
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

// comment writes text as comment lines that fit everywhere.
func comment(b *strings.Builder, text string) { b.WriteString(wrap(printable(text), "# ", minColumns)) }

// Where config.txt is: Raspberry Pi OS has moved it with Debian 12, and leaves a note
// at the old place.
const bootNow, bootBefore = "/boot/firmware/config.txt", "/boot/config.txt"

// bootFile says where config.txt is on a system whose files are below root.
func bootFile(root string) string {
	for _, file := range []string{bootNow, bootBefore} {
		if _, err := os.Stat(filepath.Join(root, file)); err == nil {
			return file
		}
	}
	return bootNow + " (" + bootBefore + " before Debian 12)"
}

// bootStates returns what config.txt does already. A machine without one has nothing
// that does; what cannot be read is said, since warnings may be wrong then.
func (a *app) bootStates(root string) gpio.BootStates {
	f, err := os.Open(filepath.Join(root, bootFile(root)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer f.Close()
		var states gpio.BootStates
		if states, err = gpio.ReadBootText(f); err == nil {
			return states
		}
	}
	fmt.Fprintf(a.err, "edge: what the firmware does with pins is not known: %v\n", err)
	return nil
}
