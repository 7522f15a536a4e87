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
  go run ./bench --short               a few seconds for each row
  go run ./bench --row qos0$           rows whose name or title matches
  go run ./bench --peers edge,mochi    only these brokers
  go run ./bench --edge dist/edge      an existing binary

Exit status: 0 measured, 1 a message was lost or out of order or a broker
failed, 2 wrong flags.

Flags:
`

// options are the flags of the command.
type options struct {
	short, json bool
	row, peers  string
	edge        string
	cpus        int
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
	rep, err := measure(ctx, o, chosen, stderr)
	if err == nil && o.json {
		err = rep.JSON(stdout)
	} else if err == nil {
		err = rep.Table(stdout)
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

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	f.BoolVar(&o.short, "short", false, "measure for a few seconds only")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.StringVar(&o.row, "row", "", "measure only rows whose name or title matches this `regexp`")
	f.StringVar(&o.peers, "peers", strings.Join(peer.Names, ","), "brokers to compare")
	f.StringVar(&o.edge, "edge", "", "`path` of a binary of edge, instead of building it")
	f.IntVar(&o.cpus, "cpus", 1, "CPUs of a broker, the others are the load's; 0 pins nothing")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return o, nil
}

// measure gets the brokers ready and measures row by row, each broker in turn.
func measure(ctx context.Context, o options, chosen []Row, stderr io.Writer) (Report, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return Report{}, err
	}
	defer os.RemoveAll(dir)
	place, err := peer.Place(o.cpus)
	if err != nil {
		return Report{}, err
	}
	say := progress(stderr)
	defer say("")
	rep := Report{Machine: describe()}
	rep.Machine.Placement = place.String()
	brokers, err := find(ctx, &rep, peer.Source{Edge: o.edge, Dir: dir}, o.peers, say)
	if err != nil {
		return rep, err
	}
	if err := place.Enter(); err != nil {
		return rep, err
	}
	for i, row := range chosen {
		say(fmt.Sprintf("[%d/%d] %s", i+1, len(chosen), row.Title))
		var results []Result
		for _, p := range brokers {
			p.Place = place
			if row.EdgeOnly && p.Name != tested {
				continue
			}
			say(fmt.Sprintf("[%d/%d] %s: %s", i+1, len(chosen), row.Title, p.Name))
			results = append(results, one(ctx, row, p, o.timing()))
			if ctx.Err() != nil {
				return rep, ctx.Err()
			}
		}
		compare(row, results)
		rep.Results = append(rep.Results, results...)
	}
	return rep, nil
}

func (o options) timing() Timing {
	if o.short {
		return short
	}
	return thorough
}

// find looks for the brokers called names; one that is not installed is skipped
// and named in the report.
func find(ctx context.Context, rep *Report, src peer.Source, names string, say func(string)) ([]peer.Peer, error) {
	var brokers []peer.Peer
	for name := range strings.SplitSeq(names, ",") {
		say("getting " + name + " ready")
		p, err := src.Find(ctx, name)
		b := Broker{Name: name, Version: p.Version}
		switch {
		case errors.Is(err, peer.ErrMissing):
			b.Missing = err.Error()
		case err != nil:
			return nil, err
		default:
			brokers = append(brokers, p)
		}
		rep.Brokers = append(rep.Brokers, b)
	}
	return brokers, nil
}

func one(ctx context.Context, row Row, p peer.Peer, t Timing) Result {
	r, err := row.Measure(ctx, p, t)
	r.Row, r.Title, r.Unit, r.Broker = row.Name, row.Title, row.Unit, p.Name
	if err != nil {
		r.Error = err.Error()
	}
	r.judge(row)
	return r
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
