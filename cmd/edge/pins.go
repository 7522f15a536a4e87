package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// watchTime is how often --watch looks; a finger on a button is slower.
const watchTime = 250 * time.Millisecond

func (a *app) pinsCommand() *cobra.Command {
	var simulated, watch bool
	cmd := &cobra.Command{
		Use:   "pins",
		Short: "Draw the 40-pin header: levels, directions, and who uses which line",
		Example: `  edge pins
  edge pins --watch                        draw it again and again
  edge pins --json
  edge pins --sim                          the board of edge demo, on any machine`,
		Long: `It looks and touches nothing: no line is requested and none changes. A level that
cannot be seen without that is shown as a dot.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			open := gpio.Opener(gpio.Open)
			if simulated {
				board, err := wiredBoard()
				if err != nil {
					return err
				}
				open = board.Open
			}
			if watch {
				return a.watchPins(cmd.Context(), open)
			}
			return a.printPins(open)
		},
	}
	cmd.Flags().BoolVar(&simulated, "sim", false, "draw the simulated board")
	cmd.Flags().BoolVar(&simulated, "demo", false, "the same as --sim")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "draw again four times a second until Ctrl-C")
	a.jsonFlag(cmd, "print one JSON object for each pin")
	return cmd
}

func (a *app) printPins(open gpio.Opener) error {
	pins, err := gpio.Header(open)
	if err != nil {
		return fmt.Errorf("look at the header: %w; edge pins --sim draws a simulated one", err)
	}
	if a.json {
		e := json.NewEncoder(a.out)
		for _, p := range pins {
			if err := e.Encode(p); err != nil {
				return err
			}
		}
		return nil
	}
	_, err = fmt.Fprint(a.out, a.drawPins(pins))
	return err
}

// watchPins goes back to the top of the terminal before each picture.
func (a *app) watchPins(ctx context.Context, open gpio.Opener) error {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	for {
		if !a.json && isTerminal(a.out) {
			fmt.Fprint(a.out, "\x1b[H\x1b[2J")
		}
		if err := a.printPins(open); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// side is the width of what is said about one pin, beside its name and level.
const side = 24

// drawPins draws two pins a row, as they lie on the board: pin 1 is at the
// upper left, where the board has a square pad.
func (a *app) drawPins(pins []gpio.HeaderPin) string {
	var b strings.Builder
	for i := 0; i+1 < len(pins); i += 2 {
		left, right := pins[i], pins[i+1]
		fmt.Fprintf(&b, "%s %s %s %s│%s %s %s %s\n",
			padLeft(usage(left), side), a.pinName(left, padLeft), a.pinLevel(left), a.paint(a.out, dim, fmt.Sprintf("%2d ", left.Number)),
			a.paint(a.out, dim, fmt.Sprintf(" %-2d", right.Number)), a.pinLevel(right), a.pinName(right, padRight), usage(right))
	}
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	legend := "● high  ○ low  · not visible; physical levels"
	return strings.Join(lines, "\n") + "\n" + padLeft("", side) + a.paint(a.out, dim, legend) + "\n"
}

// usage says in a few words what a line is used for.
func usage(p gpio.HeaderPin) string {
	if !p.GPIO {
		return ""
	}
	words := []string{p.Direction}
	if p.Bias != "" {
		words = append(words, p.Bias)
	}
	if p.Used {
		words = []string{p.Direction, dashed(p.Consumer)}
	}
	return cut(printable(strings.Join(words, " ")), side)
}

func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s))) + s
}

func padRight(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

func (a *app) pinName(p gpio.HeaderPin, pad func(string, int) string) string {
	c := cyan
	switch {
	case p.Name == "GND":
		c = dim
	case !p.GPIO:
		c = red
	case p.Used:
		c = bold
	}
	return a.paint(a.out, c, pad(p.Name, 6))
}

func (a *app) pinLevel(p gpio.HeaderPin) string {
	switch {
	case !p.GPIO:
		return " "
	case p.Level == "high":
		return a.paint(a.out, green, "●")
	case p.Level == "low":
		return a.paint(a.out, blue, "○")
	}
	return a.paint(a.out, dim, "·")
}

// wiredBoard is the simulated board with its lines requested as edge demo does,
// and one relay on, so that there is something to see.
func wiredBoard() (*sim.Board, error) {
	board := sim.NewBoard()
	chip, err := board.Open("")
	if err != nil {
		return nil, err
	}
	defer chip.Close() // the lines stay requested
	output := func(offset uint32, on bool) gpiochip.LineConfig {
		return gpiochip.LineConfig{Offset: offset, Direction: gpiochip.Output, ActiveLow: true, Value: on}
	}
	input := func(offset uint32, bias gpiochip.Bias) gpiochip.LineConfig {
		return gpiochip.LineConfig{Offset: offset, Direction: gpiochip.Input, Bias: bias}
	}
	for name, line := range map[string]gpiochip.LineConfig{
		"relay1": output(sim.RelayLine(0), true), "relay2": output(sim.RelayLine(1), false),
		"relay3": output(sim.RelayLine(2), false), "relay4": output(sim.RelayLine(3), false),
		"button1": input(sim.ButtonLine(0), gpiochip.PullUp), "button2": input(sim.ButtonLine(1), gpiochip.PullUp),
		"door": input(sim.Door, gpiochip.PullUp), "motion": input(sim.Motion, gpiochip.BiasAsIs),
	} {
		if _, err := chip.Request(gpiochip.Request{Consumer: "edge:" + name, Lines: []gpiochip.LineConfig{line}}); err != nil {
			return nil, fmt.Errorf("wire the simulated board: %w", err)
		}
	}
	return board, nil
}
