// Package serial bridges a stick that speaks lines of text on a serial port, or
// other frames. Package codec takes these apart, by one of its formats; each value
// becomes an entity. Commands go out by a template or by a format, and so does
// what the stick must be asked. Sticks that are known are files in devices.
//
// A frame that cannot be read is counted and shown in the attributes; it is never
// fatal. A stick that is unplugged is an error of Run, and the next Run waits
// until it is there again. Modbus is not its business.
package serial

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"edge/bridge"
	"edge/internal/uart"
)

// A Bridge is one stick on one port.
type Bridge struct {
	base bridge.Base
	cfg  Config
	log  *slog.Logger
}

var _ bridge.Bridge = (*Bridge)(nil)

// New returns a bridge that speaks under base. It opens nothing; cfg must be
// valid.
func New(base bridge.Base, cfg Config, log *slog.Logger) *Bridge {
	return &Bridge{base: base, cfg: cfg, log: log}
}

// Run implements bridge.Bridge. It waits for the port to be plugged in and
// announces the device when it is open, not before.
func (b *Bridge) Run(ctx context.Context, c bridge.Client) error {
	err := b.run(ctx, c)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (b *Bridge) run(ctx context.Context, c bridge.Client) error {
	port, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer port.Close()
	s, err := newSession(b, port, c)
	if err != nil {
		return err
	}
	if err := s.align(); err != nil {
		return lost(port, err)
	}
	g, serving := errgroup.WithContext(ctx)
	defer s.end(ctx)
	defer context.AfterFunc(serving, func() { port.Close() })() // ends Read and Write
	g.Go(func() error { return s.serve(serving, b.device(port.Name())) })
	g.Go(func() error { return s.write(serving) })
	g.Go(func() error { return b.offer(serving, s) })
	return lost(port, g.Wait())
}

// lost says of a port that is gone when it is plugged in again.
func lost(port *uart.Port, err error) error {
	if errors.Is(err, uart.ErrGone) {
		return &bridge.Lost{Err: err, Back: port.Replugged}
	}
	return err
}

// open waits until the port is plugged in, and opens it.
func (b *Bridge) open(ctx context.Context) (*uart.Port, error) {
	_, err := uart.Find(b.cfg.Port)
	if errors.Is(err, fs.ErrNotExist) {
		b.log.Info("waiting for the serial port", "port", b.cfg.Port)
	}
	dev, err := uart.Wait(ctx, b.cfg.Port)
	if err != nil {
		return nil, err
	}
	port, err := uart.Open(ctx, b.cfg.line())
	if err != nil {
		return nil, err
	}
	for _, o := range uart.Holders(dev) {
		if o.PID != os.Getpid() {
			b.log.Warn("another program has the serial port open and may take bytes away", "port", dev, "holder", o.String())
		}
	}
	return port, nil
}

// device describes the stick. What the configuration does not say, its USB
// descriptor does, if it has one.
func (b *Bridge) device(port string) bridge.Device {
	d := bridge.Device{Base: b.base, Name: b.cfg.Name, Manufacturer: b.cfg.Manufacturer, Model: b.cfg.Model}
	for _, e := range b.cfg.Entities {
		d.Entities = append(d.Entities, e.announced())
	}
	usb, _ := uart.Describe(port) // a machine without /sys has no descriptors
	d.Serial = usb.Serial
	d.Manufacturer = cmp.Or(d.Manufacturer, usb.Manufacturer)
	d.Model = cmp.Or(d.Model, usb.Product)
	return d
}

// breath is how long the line must be still before the first line counts: three
// bytes of ten bits, and at least two frames of USB with some room.
func breath(baud int) time.Duration {
	return max(20*time.Millisecond, 3*10*time.Second/time.Duration(baud))
}
