package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// An app is what every subcommand shares: its streams and how it may write to
// them. Data goes to out, everything else to err.
type app struct {
	in       io.Reader
	out, err io.Writer

	color   string // auto, always or never
	noColor bool
	json    bool
	started bool // the command line was understood
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := interruptible(ctx)
	defer stop()
	a := &app{in: stdin, out: stdout, err: stderr}
	root := a.root()
	root.SetArgs(foldProperties(root, args))
	err := root.ExecuteContext(ctx)
	if err != nil && !a.started {
		err = usageError{err}
	}
	a.complain(ctx, root, err)
	return exitCode(ctx, err)
}

// start is called when the command line is understood; from here on an error is
// no longer one of its form.
func (a *app) start() error {
	if !slices.Contains([]string{"auto", "always", "never"}, a.color) {
		return fmt.Errorf("--color %s: must be auto, always or never", a.color)
	}
	a.started = true
	return nil
}

// complain says on stderr what went wrong and, for a mistake in the command
// line, where to read on.
func (a *app) complain(ctx context.Context, root *cobra.Command, err error) {
	if err == nil || interrupted(ctx) || isQuiet(err) {
		return
	}
	text := err.Error()
	if e, ok := errors.AsType[configError](err); ok && !isUsage(err) {
		text = fmt.Sprintf("mistakes in the configuration: %d\n%s", len(e.Errors), e.Text(a.colored(a.err)))
	}
	fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, red, "edge:"), strings.TrimRight(text, "\n"))
	if isUsage(err) {
		fmt.Fprintf(a.err, "Try `%s --help`.\n", a.commandPath(root))
	}
}

// commandPath returns how the command that was meant is called.
func (a *app) commandPath(root *cobra.Command) string {
	if c := called(root); c != nil {
		return c.CommandPath()
	}
	return root.CommandPath()
}

// called finds the command that was called among c and those below it.
func called(c *cobra.Command) *cobra.Command {
	if c.CalledAs() != "" {
		return c
	}
	for _, sub := range c.Commands() {
		if found := called(sub); found != nil {
			return found
		}
	}
	return nil
}

// root returns the table of subcommands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "edge",
		Short: "An MQTT hub on one board: broker, GPIO lines, serial sticks",
		Long: `edge is an MQTT broker that also drives the GPIO lines of its board and reads the
serial sticks that are plugged into it.

` + exitCodes,
		Example: `  edge demo                                try everything without hardware
  edge run -c /etc/edge/edge.yaml          run the hub
  edge check -c edge.yaml                  find all mistakes in a configuration
  edge sub -v -t 'edge/#'                  watch what happens
  edge pub -t edge/demo/board/relay1/set -m ON`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.start() },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetHelpFunc(printHelp)
	root.SetUsageFunc(printUsage)
	version := root.Flags().BoolP("version", "v", false, "version for edge")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *version {
			_, err := fmt.Fprintf(a.out, "edge %s\n", buildInfo().Version)
			return err
		}
		return cmd.Help()
	}
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "colour the output: auto, always or never")
	root.PersistentFlags().BoolVar(&a.noColor, "no-color", false, "the same as --color=never")
	root.AddGroup(&cobra.Group{ID: "hub", Title: "The hub:"}, &cobra.Group{ID: "who", Title: "Who may use it:"}, &cobra.Group{ID: "look", Title: "Looking into it:"})
	for _, c := range []*cobra.Command{a.runCommand(), a.guardCommand(), a.demoCommand(), a.checkCommand(), a.reloadCommand(), a.backupCommand(), a.restoreCommand()} {
		c.GroupID = "hub"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{a.userCommand(), a.pairCommand(), a.aclCommand(), a.auditCommand(), a.importCommand()} {
		c.GroupID = "who"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{a.subCommand(), a.pubCommand(), a.pinsCommand(), a.portsCommand(), a.serialCommand(), a.modbusCommand(), a.storeCommand()} {
		c.GroupID = "look"
		root.AddCommand(c)
	}
	root.AddCommand(a.versionCommand(), a.completionCommand())
	root.AddCommand(helpTopics()...)
	return root
}

// jsonFlag gives cmd the flag --json.
func (a *app) jsonFlag(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&a.json, "json", false, what)
}

// env returns the value of the first variable of names that is set.
func env(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}
