package main

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"edge/bridge"
	"edge/bridge/gpio"
	"edge/internal/config"
	"edge/internal/sim"
)

//go:embed demo.yaml
var demoConfig string

// demoPort is what the configuration of the demo calls the stick; in /dev
// there is no such thing.
const demoPort = "usb-edge_demo_stick"

func (a *app) demoCommand() *cobra.Command {
	var listen []string
	var data, level string
	var show bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the hub with a simulated board and a simulated sensor stick",
		Example: `  edge demo
  edge demo --listen tcp://127.0.0.1:11883
  edge demo --print-config                 the configuration that it runs`,
		Long: `The board has four relays, two push buttons, a door contact and a motion sensor; the
stick measures temperature, humidity and CO₂ on a real pseudo-terminal. Somebody
lives around them. It prints what to type next.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if show {
				_, err := fmt.Fprint(a.out, demoConfig)
				return err
			}
			return a.runDemo(cmd.Context(), listen, data, level)
		},
	}
	cmd.Flags().StringArrayVar(&listen, "listen", nil, "accept connections here instead of at tcp://127.0.0.1:1883; may be repeated")
	cmd.Flags().StringVar(&data, "data", "", "directory in which to keep what is kept (a temporary one)")
	cmd.Flags().StringVar(&level, "log-level", "warn", "debug, info, warn or error")
	cmd.Flags().BoolVar(&show, "print-config", false, "print the configuration and do nothing")
	return cmd
}

func (a *app) runDemo(ctx context.Context, listen []string, data, level string) error {
	dir, err := os.MkdirTemp("", "edge-demo-")
	if err != nil {
		return fmt.Errorf("make a place for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	if data == "" {
		data = filepath.Join(dir, "data")
	}
	flags := &runFlags{listen: listen, data: data, logLevel: level}
	if err := flags.checkLevel(); err != nil {
		return err
	}
	stick, board := sim.NewStick(filepath.Join(dir, demoPort)), sim.NewBoard()
	p, err := demoPlan(stick.Link(), flags)
	if err != nil {
		return usageError{err}
	}
	levels := new(slog.LevelVar)
	setLevel(levels, p.LogLevel)
	log := a.newLogger(levels)
	n := &node{
		log: log, level: levels, notify: notifier{log}, open: openBroker,
		adapt: func(b bridge.Bridge) bridge.Bridge { return onBoard(b, board) },
		ready: func(urls []string) { fmt.Fprint(a.out, whatToType(urls)) },
	}
	return a.live(ctx, n, p, board, stick)
}

// live runs the hub, and the world around it until the hub has let go of it.
func (a *app) live(ctx context.Context, n *node, p *plan, board *sim.Board, stick *sim.Stick) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	world, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var g errgroup.Group
	g.Go(func() error {
		defer stop()
		return stick.Run(world)
	})
	g.Go(func() error {
		board.Live(world, 1)
		return nil
	})
	g.Go(func() error {
		defer end()
		return n.run(ctx, p)
	})
	// It blocks in a read that nothing can end, and so outlives the demo.
	go a.pullStick(world, stick)
	return g.Wait()
}

// onBoard puts the simulated board under a bridge that wants GPIO chips.
func onBoard(b bridge.Bridge, board *sim.Board) bridge.Bridge {
	if g, ok := b.(*gpio.Bridge); ok {
		return g.WithChips(board.Open)
	}
	return b
}

// demoPlan is the plan of demoConfig, with the stick where it is plugged in.
func demoPlan(link string, flags *runFlags) (*plan, error) {
	text := strings.Replace(demoConfig, demoPort, link, 1)
	tree, err := config.Parse("demo.yaml", []byte(text))
	return newPlan("", tree, err, flags.override)
}

// pullStick unplugs the stick at one line of stdin and plugs it in at the next.
func (a *app) pullStick(ctx context.Context, stick *sim.Stick) {
	lines := bufio.NewScanner(a.in)
	for plugged := true; lines.Scan() && ctx.Err() == nil; plugged = !plugged {
		if plugged {
			stick.Unplug()
			fmt.Fprintln(a.out, "The stick is unplugged. Press Enter to plug it in again.")
			continue
		}
		if err := stick.Plug(); err != nil {
			fmt.Fprintln(a.err, "edge: plug the stick in:", err)
			return
		}
		fmt.Fprintln(a.out, "The stick is plugged in again.")
	}
}

// A suggestion is something to try, as arguments of our tools, which are
// those of mosquitto's.
type suggestion struct {
	what, tool, args string
}

var suggestions = []suggestion{
	{"Watch everything", "sub", "-v -t 'edge/#'"},
	{"Switch a relay, and see it answer", "pub", "-t edge/demo/board/relay1/set -m ON"},
	{"", "sub", "-C 1 -t edge/demo/board/relay1"},
	{"Switch it for five seconds only", "pub", `-t edge/demo/board/relay1/set -m '{"value":"ON","for":"5s"}'`},
	{"Read the temperature of the stick", "sub", "-C 1 -t edge/demo/stick/temperature"},
	{"Light its LED", "pub", "-t edge/demo/stick/led/set -m ON"},
}

// whatToType explains the demo to who started it.
func whatToType(urls []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The hub is ready at %s, with a simulated board and a simulated sensor stick.\n", strings.Join(urls, " "))
	b.WriteString("Type in another terminal, with edge or with mosquitto's tools:\n")
	where := whereFlags(urls)
	for _, s := range suggestions {
		if s.what != "" {
			fmt.Fprintf(&b, "\n  # %s\n", s.what)
		}
		fmt.Fprintf(&b, "  edge %s %s%s\n", s.tool, where, s.args)
		fmt.Fprintf(&b, "  mosquitto_%s %s%s\n", s.tool, where, s.args)
	}
	b.WriteString("\nEnter unplugs the stick here and plugs it in again. Ctrl-C ends the demo.\n")
	return b.String()
}

// whereFlags returns the flags that lead to the first of urls which both tools
// can reach.
func whereFlags(urls []string) string {
	for _, s := range urls {
		u, err := url.Parse(s)
		switch {
		case err != nil:
		case u.Scheme == "unix":
			return "--unix " + u.Path + " "
		case u.Scheme == "tcp":
			return hostFlags(u.Host)
		}
	}
	return ""
}

// hostFlags leaves out what is the default of both tools.
func hostFlags(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	flags := ""
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && (ip.Equal(net.IPv4(127, 0, 0, 1)) || ip.IsUnspecified())
	if !local {
		flags = "-h " + host + " "
	}
	if port != "1883" {
		flags += "-p " + port + " "
	}
	return flags
}
