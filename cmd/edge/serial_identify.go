package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"edge/bridge/serial"
	"edge/internal/uart"
)

// errUnknown is the result where nothing was understood.
var errUnknown = errors.New("nothing was understood; edge serial capture records what comes")

// An identified is a guess in JSON.
type identified struct {
	Device string `json:"device"`
	About  string `json:"about"`
	Sure   int    `json:"sure"` // per cent
	Why    string `json:"why"`
	Port   string `json:"port"`
	Baud   int    `json:"baud"`
	Config string `json:"config"`
}

func (a *app) serialIdentifyCommand() *cobra.Command {
	limit := 20 * time.Second
	cmd := &cobra.Command{
		Use:   "identify [flags] PORT",
		Short: "Find out what is at a serial port, and what to write into the configuration",
		Example: `  edge serial identify /dev/ttyUSB0
  edge serial identify --json usb-FTDI_*`,
		Long: `It listens at the rates of the sticks that edge knows, and asks those that speak only when
they are asked for their values; that changes nothing in them. The port must be free: stop
the hub, or take its bridge out of the configuration.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			return a.identify(ctx, args[0])
		},
	}
	cmd.Flags().DurationVar(&limit, "for", limit, "the longest time that it may take")
	a.jsonFlag(cmd, "print one JSON object for each guess, the best first")
	return cmd
}

func (a *app) identify(ctx context.Context, name string) error {
	port, err := uart.Open(ctx, uart.Config{Port: name})
	if err != nil {
		return err
	}
	defer port.Close()
	l := &serial.Listener{Port: port, Devices: serial.Devices(), Progress: a.doing}
	guesses, err := l.Identify(ctx)
	if isTerminal(a.err) {
		fmt.Fprint(a.err, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	return a.printGuesses(configured(name, port.Name()), guesses)
}

// doing shows on a terminal what is being tried.
func (a *app) doing(what string) {
	if isTerminal(a.err) {
		fmt.Fprintf(a.err, "\r\x1b[K%s", a.paint(a.err, dim, "listening: "+what))
	}
}

// configured returns the name of a port that stays the same wherever the stick
// is plugged in, where it has one.
func configured(asked, path string) string {
	ports, _ := uart.List() // without /sys there are no other names
	for _, p := range ports {
		if p.Path == path && p.ByID != "" {
			return filepath.Base(p.ByID)
		}
	}
	return asked
}

func (a *app) printGuesses(port string, guesses []serial.Guess) error {
	if len(guesses) == 0 {
		return errUnknown
	}
	if a.json {
		e := json.NewEncoder(a.out)
		for _, g := range guesses {
			d := g.Device
			err := e.Encode(identified{d.Name, d.About, g.Sure, g.Why, port, g.Baud, section(port, g)})
			if err != nil {
				return err
			}
		}
		return nil
	}
	best := guesses[0]
	fmt.Fprintf(a.out, "%s: %s, %d %% sure: %s\n", best.Device.Name, best.Device.About, best.Sure, best.Why)
	for _, g := range guesses[1:] {
		fmt.Fprintf(a.out, "perhaps %s: %s, %d %% sure\n", g.Device.Name, g.Device.About, g.Sure)
	}
	fmt.Fprintf(a.out, "\nWrite into the configuration:\n\n%s", section(port, best))
	return nil
}

// section returns what has to be written into the configuration.
func section(port string, g serial.Guess) string {
	name := g.Device.Name
	text := fmt.Sprintf("bridges:\n  %s:\n    serial:\n      port: %s\n      device: %s\n", name, port, name)
	if g.Baud != g.Device.Serial.Baud {
		text += fmt.Sprintf("      baud: %d\n", g.Baud)
	}
	return text
}
