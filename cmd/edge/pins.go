package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// watchTime is how often --watch looks; a finger on a button is slower.
const watchTime = 250 * time.Millisecond

// A pinsView is what edge pins looks at.
type pinsView struct {
	open  gpio.Opener
	board gpio.Board
	roles []gpio.Role
	file  string // that roles are from; empty if there is none
	boot  gpio.BootStates
}

func (a *app) pinsCommand() *cobra.Command {
	var file string
	var simulated, watch, boot bool
	cmd := &cobra.Command{
		Use:   "pins",
		Short: "Draw the header: levels, what the pins are for, and what is wrong with that",
		Example: `  edge pins
  edge pins -c edge.yaml                   with the names of that configuration
  edge pins --boot-config                  lines for config.txt: pins before edge runs
  edge pins --watch                        draw it again and again
  edge pins --json
  edge pins --sim                          the board of edge demo, on any machine`,
		Long: `It looks and touches nothing: no line is requested and none changes. A level that
cannot be seen without that is shown as a dot: members of the group gpio see most,
and root sees who holds what. docs/pins.md explains the picture and the warnings.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if boot && (watch || a.json) {
				return usageError{errors.New("--boot-config prints lines for a file: it goes neither with --watch nor with --json")}
			}
			v, err := a.pinsView(file, simulated)
			switch {
			case err != nil:
				return err
			case boot:
				return a.printBootConfig(v, "/")
			case watch:
				return a.watchPins(cmd.Context(), v)
			}
			return a.printPins(v)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration that says what pins are for; see edge help config for the default")
	cmd.Flags().BoolVar(&boot, "boot-config", false, "print lines for config.txt that set the configured pins before edge runs")
	cmd.Flags().BoolVar(&simulated, "sim", false, "draw the simulated board")
	cmd.Flags().BoolVar(&simulated, "demo", false, "the same as --sim")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "draw again four times a second until Ctrl-C")
	a.jsonFlag(cmd, "print one JSON object for the board, and one for each pin")
	cmd.AddCommand(a.pinsLogCommand())
	return cmd
}

// pinsView finds out what there is to look at. A configuration that was not asked
// for and cannot be used is no reason to show nothing.
func (a *app) pinsView(file string, simulated bool) (pinsView, error) {
	v := pinsView{open: gpio.Open, board: gpio.ThisBoard(), file: file, boot: a.bootStates("/")}
	read := func() (*plan, error) { return readPlan(v.file, nil) }
	switch {
	case simulated:
		board, err := wiredBoard()
		if err != nil {
			return v, err
		}
		v.open, v.board, v.boot = board.Open, gpio.Board{Model: "Simulated board"}, nil
		if file == "" {
			v.file = "edge demo"
			read = func() (*plan, error) { return demoPlan(demoPort, new(runFlags)) }
		}
	case file == "":
		if v.file = findConfig(); v.file == "" {
			return v, nil
		}
	}
	p, err := read()
	if err != nil && file != "" {
		return v, err
	}
	if err != nil {
		fmt.Fprintf(a.err, "edge: without the names of %s, which cannot be used: see edge check\n", v.file)
		v.file = ""
		return v, nil
	}
	v.roles = p.roles()
	return v, nil
}

// roles returns what bridges want of GPIO lines.
func (p *plan) roles() []gpio.Role {
	var roles []gpio.Role
	for _, name := range slices.Sorted(maps.Keys(p.bridges)) {
		if cfg, ok := p.bridges[name].config.(gpio.Config); ok {
			roles = append(roles, cfg.Roles(name)...)
		}
	}
	return roles
}

func (a *app) printPins(v pinsView) error {
	h, err := gpio.LookAt(v.open, v.board, v.roles, v.boot)
	if err != nil {
		return fmt.Errorf("look at the header: %w; edge pins --sim draws a simulated one", err)
	}
	if !a.json {
		_, err = fmt.Fprint(a.out, a.drawHeader(h, v.file, a.columns()))
		return err
	}
	e := json.NewEncoder(a.out)
	err = e.Encode(struct {
		gpio.Header
		Config    string      `json:"config,omitempty"`
		Elsewhere []gpio.Role `json:"elsewhere,omitempty"`
	}{h, v.file, h.Elsewhere})
	for i := 0; i < len(h.Pins) && err == nil; i++ {
		err = e.Encode(h.Pins[i])
	}
	return err
}

// watchPins goes back to the top of the terminal before each picture.
func (a *app) watchPins(ctx context.Context, v pinsView) error {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	for {
		if !a.json && isTerminal(a.out) {
			fmt.Fprint(a.out, "\x1b[H\x1b[2J")
		}
		if err := a.printPins(v); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
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
