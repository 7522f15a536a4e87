package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"edge/internal/uart"
)

func (a *app) portsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ports",
		Short: "List serial ports and who holds them",
		Example: `  edge ports
  edge ports --json`,
		Long: `The name in /dev/serial/by-id stays the same wherever the stick is plugged in: it is
the one to configure. It is also good where there is no udev to make it. Sticks that
have the same name are told apart by the socket that they are in. Holders are shown
as far as this user may see them.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ports, err := uart.List()
			if err != nil {
				return fmt.Errorf("list serial ports: %w", err)
			}
			return a.printPorts(ports)
		},
	}
	a.jsonFlag(cmd, "print one JSON object for each port")
	return cmd
}

func (a *app) printPorts(ports []uart.Info) error {
	if a.json {
		e := json.NewEncoder(a.out)
		for _, p := range ports {
			if err := e.Encode(p); err != nil {
				return err
			}
		}
		return nil
	}
	if len(ports) == 0 {
		fmt.Fprintln(a.err, "edge: this machine has no serial ports; plug in a stick, or try edge demo, which simulates one")
		return nil
	}
	rows := [][]string{{"PORT", "NAME TO CONFIGURE", "DRIVER", "DEVICE", "HELD BY"}}
	count := map[string]int{}
	for _, p := range ports {
		count[filepath.Base(p.ByID)]++
	}
	for _, p := range ports {
		rows = append(rows, portRow(p, count[filepath.Base(p.ByID)] > 1))
	}
	return a.printTable(rows)
}

// portRow names a port by its socket if it is a twin of another one.
func portRow(p uart.Info, twin bool) []string {
	name := p.Path
	switch {
	case p.ByID != "" && !twin:
		name = filepath.Base(p.ByID)
	case p.ByPath != "":
		name = filepath.Base(p.ByPath)
	}
	device := strings.TrimSpace(p.Manufacturer + " " + p.Product)
	if p.VID != "" {
		device = strings.TrimSpace(p.VID + ":" + p.PID + " " + device)
	}
	var holders []string
	for _, h := range p.Holders {
		holders = append(holders, h.String())
	}
	return []string{p.Path, name, p.Driver, device, strings.Join(holders, ", ")}
}

// printTable aligns columns; the first row is their names.
func (a *app) printTable(rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(printable(cell))))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell = printable(dashed(cell))
			line.WriteString(cell + strings.Repeat(" ", max(0, widths[i]-len([]rune(cell)))+2))
		}
		text := strings.TrimRight(line.String(), " ")
		if n == 0 {
			text = a.paint(a.out, bold, text)
		}
		if _, err := fmt.Fprintln(a.out, text); err != nil {
			return err
		}
	}
	return nil
}

// dashed shows that there is nothing, so that columns can be told apart by a
// script too.
func dashed(cell string) string {
	if cell == "" {
		return "-"
	}
	return cell
}
