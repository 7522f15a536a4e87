package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"edge/internal/uart"
)

func (a *app) serialCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serial",
		Short: "Find out what a serial stick is; record what passes, and play it again",
		Example: `  edge serial identify /dev/ttyUSB0
  edge serial capture usb-FTDI_* --baud 9600 stick.txt
  edge serial replay stick.txt             a port that any program can open`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.serialIdentifyCommand(), a.serialCaptureCommand(), a.serialReplayCommand())
	return cmd
}

// A serialLine is how the line of a port is set by flags.
type serialLine struct {
	uart.Config
	parity, flow string
}

func (l *serialLine) flags(fs *pflag.FlagSet) {
	fs.IntVar(&l.Baud, "baud", 115200, "bits per second")
	fs.IntVar(&l.DataBits, "data-bits", 8, "bits of a byte, 5 to 8")
	fs.StringVar(&l.parity, "parity", "none", "none, odd, even, mark or space")
	fs.IntVar(&l.StopBits, "stop-bits", 1, "stop bits, 1 or 2")
	fs.StringVar(&l.flow, "flow", "none", "flow control: none, rtscts or xonxoff")
}

// config returns the settings of a port. The error is one of the command line.
func (l *serialLine) config(port string) (uart.Config, error) {
	cfg := l.Config
	cfg.Port, cfg.Parity, cfg.Flow = port, uart.Parity(l.parity), uart.Flow(l.flow)
	if err := cfg.Validate(); err != nil {
		return cfg, usageError{errors.Join(err)}
	}
	return cfg, nil
}
