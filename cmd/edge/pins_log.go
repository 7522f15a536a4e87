package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// followTime is how often --follow looks.
const followTime = time.Second

// A pinsLog is one `edge pins log`.
type pinsLog struct {
	*app
	place  place
	output string // empty: all of them
	count  int    // of lines; 0: all of them
	follow bool

	last *outputLine // that was printed
}

func (a *app) pinsLogCommand() *cobra.Command {
	l := &pinsLog{app: a}
	cmd := &cobra.Command{
		Use:   "log [OUTPUT]",
		Short: "Say what outputs became, when, why, and who did it",
		Example: `  edge pins log
  edge pins log light -n 20                of one output, whatever its bridge
  edge pins log porch/light --follow
  edge pins log --json`,
		Long: `It lists each change of each output, the oldest first. The causes are explained in
docs/gpio-outputs.md. They are in the file "outputs" of the hub's data directory, and
the older ones in "outputs.1". A power cut takes the last ten seconds.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.count < 0 {
				return usageError{errors.New("-n is how many changes to print: want more than 0")}
			}
			if len(args) > 0 {
				l.output = args[0]
			}
			return l.run(cmd.Context())
		},
	}
	l.place.flags(cmd.Flags())
	cmd.Flags().IntVarP(&l.count, "lines", "n", 0, "the last changes only, so many")
	cmd.Flags().BoolVar(&l.follow, "follow", false, "go on with what comes, until Ctrl-C")
	a.jsonFlag(cmd, "print one JSON object for each change")
	return cmd
}

func (l *pinsLog) run(ctx context.Context) error {
	lines, err := l.read(ctx)
	if err != nil {
		return err
	}
	if l.count > 0 {
		lines = lines[max(0, len(lines)-l.count):]
	}
	if len(lines) == 0 && !l.follow {
		fmt.Fprintf(l.err, "edge: no output has changed yet, as far as %s knows\n", l.trail().files()[1])
		return nil
	}
	if err := l.print(lines, true); err != nil || !l.follow {
		return err
	}
	tick := time.NewTicker(followTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		lines, err := l.read(ctx)
		if err != nil {
			return err
		}
		if err := l.print(l.newer(lines), false); err != nil {
			return err
		}
	}
}

func (l *pinsLog) trail() trail { return trail{l.place.dir(), outputsName} }

// read returns the changes that are wanted. A hub that runs writes what it has first.
func (l *pinsLog) read(ctx context.Context) ([]outputLine, error) {
	_, _ = ask(ctx, l.place.dir(), outputsVerb) // There may be none.
	all, bad, err := readTrail[outputLine](l.trail())
	if err != nil {
		return nil, err
	}
	if bad > 0 && l.last == nil {
		fmt.Fprintf(l.err, "edge: lines that cannot be read: %d\n", bad)
	}
	var lines []outputLine
	for _, line := range all {
		if l.output == "" || line.Output == l.output || strings.HasSuffix(line.Output, "/"+l.output) {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// newer returns those of lines that come after the last one that was printed.
func (l *pinsLog) newer(lines []outputLine) []outputLine {
	if l.last == nil {
		return lines
	}
	for i, line := range slices.Backward(lines) {
		if line == *l.last {
			return lines[i+1:]
		}
	}
	return lines
}

func (l *pinsLog) print(lines []outputLine, first bool) error {
	if len(lines) > 0 {
		l.last = &lines[len(lines)-1]
	}
	if l.json {
		e := json.NewEncoder(l.out)
		for _, line := range lines {
			if err := e.Encode(line); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	if first {
		rows = append(rows, []string{"TIME", "OUTPUT", "VALUE", "CAUSE", "USER", "CLIENT", "ID", "WHY"})
	}
	for _, c := range lines {
		rows = append(rows, []string{c.Time.Local().Format("2006-01-02 15:04:05.000"), c.Output, c.Value, c.Cause, c.User, c.Client, c.ID, c.Why})
	}
	if len(rows) == 0 {
		return nil
	}
	return l.printTable(rows)
}
