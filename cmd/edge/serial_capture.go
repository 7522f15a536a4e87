package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"edge/internal/uart"
)

// A capture is one `edge serial capture`.
type capture struct {
	*app
	line  serialLine
	limit time.Duration // --for
	bytes int64         // --bytes
	force bool
}

func (a *app) serialCaptureCommand() *cobra.Command {
	c := &capture{app: a}
	cmd := &cobra.Command{
		Use:   "capture [flags] PORT FILE",
		Short: "Record what comes from a serial port, with times, as text",
		Example: `  edge serial capture usb-FTDI_* --baud 9600 stick.txt
  edge serial capture --for 1m /dev/ttyUSB0 -       to standard output
  edge serial capture tcp://hub.local:2217 bus.txt  at the tap of a hub`,
		Long: `PORT is as in the configuration: a name in /dev/serial/by-id, a path, tcp://HOST:PORT or
rfc2217://HOST:PORT. It ends by Ctrl-C, --for, --bytes, or when the port is gone; what was
recorded until then is in the file. Each line has a time in seconds, < for what came, the
bytes in hexadecimal digits, and what is printable of them.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0], args[1]) },
	}
	fs := cmd.Flags()
	c.line.flags(fs)
	fs.DurationVar(&c.limit, "for", 0, "end after this time, such as 30s")
	fs.Int64Var(&c.bytes, "bytes", 0, "end after so many bytes")
	fs.BoolVarP(&c.force, "force", "f", false, "overwrite FILE")
	return cmd
}

func (c *capture) run(ctx context.Context, name, file string) error {
	cfg, err := c.line.config(name)
	if err != nil {
		return err
	}
	port, err := uart.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer port.Close()
	out, err := c.create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	defer context.AfterFunc(ctx, func() { port.Close() })()
	cfg.Port = port.Name()
	t := &tape{app: c.app, pieces: make(chan uart.Chunk, tapePieces), begin: time.Now()}
	written := make(chan error, 1)
	go func() {
		err := t.write(out, uart.Capture{Port: cfg.Port, Line: cfg, Start: t.begin})
		if err != nil {
			port.Close() // there is nothing to record for
		}
		written <- err
	}()
	err = c.record(port, t)
	close(t.pieces)
	if werr := <-written; werr != nil {
		return fmt.Errorf("write %s: %w", file, werr)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// create makes the file, readable by its owner only: what passes on a line may
// be private.
func (c *capture) create(file string) (io.WriteCloser, error) {
	if file == "-" {
		return stdout{c.out}, nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there already; --force overwrites it", file)
	}
	return f, err
}

// stdout is not closed by who writes to it.
type stdout struct{ io.Writer }

func (stdout) Close() error { return nil }

// record reads the port until its end, or a limit.
func (c *capture) record(port *uart.Port, t *tape) error {
	if c.limit > 0 {
		_ = port.SetReadDeadline(t.begin.Add(c.limit))
	}
	buf := make([]byte, 4096)
	for left := c.bytes; ; {
		n, err := port.Read(buf)
		if c.bytes > 0 {
			n = int(min(int64(n), left))
			left -= int64(n)
		}
		t.add(buf[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			return err
		case c.bytes > 0 && left == 0:
			return nil
		}
	}
}

// tapePieces is how many pieces, of 4 KiB at most, wait for a slow disk.
const tapePieces = 1024

// A tape takes pieces as they come and writes them as its file permits.
type tape struct {
	*app
	begin  time.Time
	pieces chan uart.Chunk
	lost   int64 // bytes; read when pieces is closed

	count, bytes int64 // written
	shown        time.Time
}

// add never waits for the file. What finds no room is counted, and the end of the
// file tells.
func (t *tape) add(b []byte) {
	if len(b) == 0 {
		return
	}
	c := uart.Chunk{At: time.Since(t.begin), Bytes: bytes.Clone(b)}
	select {
	case t.pieces <- c:
	default:
		t.lost += int64(len(b))
	}
}

// write writes the pieces as they come, and makes them safe at the end.
func (t *tape) write(out io.Writer, head uart.Capture) error {
	w := bufio.NewWriter(out)
	_, _ = w.Write(head.AppendHead(nil)) // its error is that of Flush
	for c := range t.pieces {
		_, _ = w.Write(c.AppendText(nil))
		if len(t.pieces) == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		t.count, t.bytes = t.count+1, t.bytes+int64(len(c.Bytes))
		t.show()
	}
	if t.lost > 0 {
		fmt.Fprintf(w, "# lost: %d bytes, for which the file was too slow\n", t.lost)
	}
	t.end()
	err := w.Flush()
	if f, ok := out.(*os.File); ok && err == nil {
		err = f.Sync()
	}
	return err
}

// show draws the progress on a terminal.
func (t *tape) show() {
	if now := time.Now(); isTerminal(t.err) && now.Sub(t.shown) >= progressPause {
		t.shown = now
		fmt.Fprintf(t.err, "\r%s\x1b[K", t.sum())
	}
}

func (t *tape) end() {
	if !t.shown.IsZero() {
		fmt.Fprint(t.err, "\r\x1b[K")
	}
	fmt.Fprintf(t.err, "edge: %s\n", t.sum())
}

func (t *tape) sum() string {
	return fmt.Sprintf("%d bytes in %d pieces, %v", t.bytes, t.count, time.Since(t.begin).Round(time.Second))
}
