package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"edge/internal/sim"
	"edge/internal/uart"
)

// A player is one `edge serial replay`.
type player struct {
	*app
	link, listen       string
	fast, loop, ignore bool
}

func (a *app) serialReplayCommand() *cobra.Command {
	p := &player{app: a}
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE",
		Short: "Make a capture a port that any program can open",
		Example: `  edge serial replay stick.txt             prints the path of the port
  edge serial replay --link /tmp/stick --loop --fast stick.txt
  edge serial replay --listen 127.0.0.1:2217 stick.txt`,
		Long: `What came is said again, at its times, from when the port is opened; an answer as long
after its question as it came then. What is written is compared with what was sent (>),
and a difference is an error. Without --loop it ends when the program closes the port.

The hub, and every command that takes a port, opens a capture without this, as
replay:FILE, with ?speed=fast, loop=true and writes=ignore.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args[0]) },
	}
	fs := cmd.Flags()
	fs.StringVar(&p.link, "link", "", "also make a link to the port, under this name")
	fs.StringVar(&p.listen, "listen", "", "be a port on the network, tcp://ADDRESS, instead")
	fs.BoolVar(&p.fast, "fast", false, "as fast as it is read")
	fs.BoolVar(&p.loop, "loop", false, "begin again at the end, and when the port is opened again")
	fs.BoolVar(&p.ignore, "ignore-writes", false, "take whatever is written")
	return cmd
}

func (p *player) run(ctx context.Context, file string) error {
	if p.link != "" && p.listen != "" {
		return usageError{errors.New("--link goes not with --listen")}
	}
	cfg, err := p.config(file)
	if err != nil {
		return err
	}
	try, err := uart.Open(ctx, cfg) // before somebody waits for it
	if err != nil {
		return err
	}
	try.Close()
	if p.listen != "" {
		return p.serveTCP(ctx, cfg)
	}
	return p.servePTY(ctx, cfg)
}

func (p *player) config(file string) (uart.Config, error) {
	if strings.Contains(file, "?") {
		return uart.Config{}, usageError{fmt.Errorf("%s: a name with ? cannot be replayed", file)}
	}
	options := url.Values{}
	for key, value := range map[string]struct {
		on bool
		as string
	}{"speed": {p.fast, "fast"}, "loop": {p.loop, "true"}, "writes": {p.ignore, "ignore"}} {
		if value.on {
			options.Set(key, value.as)
		}
	}
	return uart.Config{Port: "replay:" + file + "?" + options.Encode()}, nil
}

// servePTY is a pseudo-terminal.
func (p *player) servePTY(ctx context.Context, cfg uart.Config) error {
	pty, err := sim.NewPTY(p.link)
	if err != nil {
		return err
	}
	defer pty.Close()
	name := pty.Port()
	if p.link != "" {
		name = p.link
	}
	fmt.Fprintln(p.out, name)
	for {
		if err := opened(ctx, pty); err != nil {
			return nil //nolint:nilerr // it was told to end
		}
		err := p.play(ctx, cfg, pty)
		if err != nil || !p.loop || ctx.Err() != nil {
			return err
		}
	}
}

// opened waits until a program has opened the port: for that a pseudo-terminal
// has no event.
func opened(ctx context.Context, pty *sim.PTY) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !pty.Listening() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// serveTCP serves one connection after the other.
func (p *player) serveTCP(ctx context.Context, cfg uart.Config) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	fmt.Fprintf(p.out, "tcp://%s\n", l.Addr())
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		err = p.play(ctx, cfg, c)
		c.Close()
		if err != nil || !p.loop || ctx.Err() != nil {
			return err
		}
	}
}

// A far is what a program has opened.
type far interface {
	io.ReadWriter
	SetReadDeadline(t time.Time) error
}

// play plays the capture to a program until that leaves. A connection also ends
// with the capture; a pseudo-terminal would lose what the program has not read.
func (p *player) play(ctx context.Context, cfg uart.Config, program far) error {
	port, err := uart.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer port.Close()
	if err := program.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() {
		port.Close()
		_ = program.SetReadDeadline(time.Unix(1, 0))
	})()
	g.Go(func() error {
		_, err := io.Copy(program, port)
		if _, tcp := program.(net.Conn); tcp && errors.Is(err, uart.ErrGone) {
			return errPlayed
		}
		return played(err)
	})
	g.Go(func() error {
		_, err := io.Copy(port, program)
		if played(err) == nil {
			return errPlayed
		}
		return err
	})
	if err := g.Wait(); !errors.Is(err, errPlayed) {
		return err
	}
	return nil
}

// errPlayed ends a play without being an error.
var errPlayed = errors.New("the capture was played, or the program has left")

// played returns err unless it means that the program has left, or the end of
// the capture.
func played(err error) error {
	for _, end := range []error{uart.ErrGone, os.ErrClosed, os.ErrDeadlineExceeded, syscall.EIO, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return nil
		}
	}
	return err
}
