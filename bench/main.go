// Command bench compares this broker with others: it starts each in turn on the
// same CPU, drives them with the same load over raw sockets, and prints what a
// message costs and how the brokers compare. Because all are measured in one
// run, the ratios hold on a noisy machine too. It fails when a message is lost
// or out of order, never because something took long.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"edge/bench/peer"
)

// tested is the broker that has goals.
const tested = "edge"

const usage = `Compare brokers under the same load, in one run.

  go run ./bench                       all rows, all brokers
  go run ./bench --short               a few seconds for each row; what must survive
                                       without the other brokers
  go run ./bench --row qos0$           rows whose name or title matches
  go run ./bench --row durable         rows about what must survive
  go run ./bench --peers edge,mochi    only these brokers
  go run ./bench --edge dist/edge      an existing binary
  go run ./bench --write docs/performance.md
                                       put the figures into a page, between
                                       <!-- bench --> and <!-- /bench -->
  go run ./bench --json >run.json; go run ./bench --from run.json --markdown
                                       measure once, print again

Exit status: 0 measured, 1 a message was lost or out of order or a broker
failed, 2 wrong flags.

Flags:
`

// options are the flags of the command.
type options struct {
	short          bool
	row, peers     string
	edge           string
	cpus           int
	from           string
	json, markdown bool
	write          string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var chosen []Row
	if err == nil {
		chosen, err = selectRows(o.row)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	rep, err := o.report(ctx, chosen, stderr)
	if err == nil {
		err = o.print(rep, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	if rep.Failed() {
		return 1
	}
	return 0
}

// measuring are the flags that have no meaning where nothing is measured.
const measuring = " short row peers edge cpus "

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	f.BoolVar(&o.short, "short", false, "measure for a few seconds only")
	f.StringVar(&o.row, "row", "", "measure only rows whose name or title matches this `regexp`")
	f.StringVar(&o.peers, "peers", strings.Join(peer.Names, ","), "brokers to compare")
	f.StringVar(&o.edge, "edge", "", "`path` of a binary of edge, instead of building it")
	f.IntVar(&o.cpus, "cpus", 1, "CPUs of a broker, the others are the load's; 0 pins nothing")
	f.StringVar(&o.from, "from", "", "measure nothing, but read the `file` that --json has printed")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.BoolVar(&o.markdown, "markdown", false, "print the tables of docs/performance.md")
	f.StringVar(&o.write, "write", "", "write these tables into the `file`, too")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var err error
	f.Visit(func(set *flag.Flag) {
		if o.from != "" && strings.Contains(measuring, " "+set.Name+" ") {
			err = fmt.Errorf("--from measures nothing, so --%s has no meaning beside it", set.Name)
		}
	})
	return o, err
}

// report measures, or reads what was measured before.
func (o options) report(ctx context.Context, chosen []Row, stderr io.Writer) (Report, error) {
	if o.from != "" {
		return readReport(o.from)
	}
	say := progress(stderr)
	defer say("")
	return measure(ctx, o, chosen, say)
}

func (o options) print(rep Report, stdout io.Writer) error {
	if o.write != "" {
		if err := rep.WriteInto(o.write); err != nil {
			return err
		}
	}
	switch {
	case o.json:
		return rep.JSON(stdout)
	case o.markdown:
		return rep.Markdown(stdout)
	}
	return rep.Table(stdout)
}

func (o options) timing() Timing {
	if o.short {
		return short
	}
	return thorough
}

// progress returns a function that shows what is being done, where somebody can
// see it.
func progress(w io.Writer) func(string) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(string) {}
	}
	return func(what string) { fmt.Fprint(f, "\r\x1b[K", what) }
}
