package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The help is written here, and not by cobra's templates: what calls methods by
// name makes the linker keep the methods of everything (decision 8).

// printHelp prints the help of cmd. Examples come first: they are what people look
// for.
func printHelp(cmd *cobra.Command, _ []string) {
	var b strings.Builder
	if cmd.Short != "" {
		b.WriteString(cmd.Short + "\n\n")
	}
	if cmd.HasExample() {
		b.WriteString("Examples:\n" + cmd.Example + "\n\n")
	}
	if cmd.Long != "" {
		b.WriteString(strings.TrimRightFunc(cmd.Long, unicode.IsSpace) + "\n\n")
	}
	if cmd.Runnable() || cmd.HasSubCommands() {
		b.WriteString(cmd.UsageString())
	}
	_, _ = io.WriteString(cmd.OutOrStdout(), b.String())
}

// printUsage prints how cmd is used.
func printUsage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:")
	if cmd.Runnable() && cmd.HasParent() {
		b.WriteString("\n  " + cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n  " + cmd.CommandPath() + " COMMAND")
		writeCommands(&b, cmd)
	}
	writeFlags(&b, "Flags:", cmd.HasAvailableLocalFlags(), cmd.LocalFlags())
	writeFlags(&b, "Flags of every command:", cmd.HasAvailableInheritedFlags(), cmd.InheritedFlags())
	if cmd.HasHelpSubCommands() {
		b.WriteString("\n\nMore to read:")
		for _, c := range cmd.Commands() {
			if c.IsAdditionalHelpTopicCommand() {
				fmt.Fprintf(&b, "\n  %-22s %s", "edge help "+c.Name(), c.Short)
			}
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

func writeCommands(b *strings.Builder, cmd *cobra.Command) {
	list := func(title, group string, also string) {
		b.WriteString("\n\n" + title)
		for _, c := range cmd.Commands() {
			if c.GroupID == group && (c.IsAvailableCommand() || c.Name() == also) {
				fmt.Fprintf(b, "\n  %-*s %s", c.NamePadding(), c.Name(), c.Short)
			}
		}
	}
	for _, g := range cmd.Groups() {
		list(g.Title, g.ID, "")
	}
	list("Others:", "", "help")
}

func writeFlags(b *strings.Builder, title string, some bool, flags *pflag.FlagSet) {
	if some {
		b.WriteString("\n\n" + title + "\n" + strings.TrimRightFunc(flags.FlagUsages(), unicode.IsSpace))
	}
}

// helpTopics returns the pages that explain something other than a command.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What a script can tell from the exit code", Long: exitCodes},
		{Use: "topics", Short: "Which MQTT topics the hub speaks", Long: topicsHelp},
		{Use: "config", Short: "Where the configuration comes from", Long: configHelp},
	}
}

const topicsHelp = `PREFIX is "edge" and NODE is the host name unless the configuration says otherwise.

  PREFIX/NODE/status                   online or offline; retained
  PREFIX/NODE/status/attr              JSON: whether the journal takes messages; retained
  PREFIX/NODE/BRIDGE/status            online or offline; retained
  PREFIX/NODE/BRIDGE/meta              JSON: the device and its entities; retained
  PREFIX/NODE/BRIDGE/ENTITY            the state: ON, 21.5; retained
  PREFIX/NODE/BRIDGE/ENTITY/position   of a cover: 0 (closed) to 100 (open); retained
  PREFIX/NODE/BRIDGE/ENTITY/attr       JSON: quality, error, cause, counters; retained
  PREFIX/NODE/BRIDGE/ENTITY/set        a command: ON or {"value":"ON","for":"5s","id":"x"}; never retained
  PREFIX/NODE/BRIDGE/ENTITY/result     JSON: what became of a command
  PREFIX/NODE/BRIDGE/ENTITY/event      press and the like; not retained`

const configHelp = `edge run reads one YAML file and, beside it, conf.d/*.yaml in the order of their
names. Mappings that several files define are merged; a value that two files define
is an error. Without -c and --listen it reads the first of

  $EDGE_CONFIG, $XDG_CONFIG_HOME/edge/edge.yaml (~/.config/edge/edge.yaml),
  /etc/edge/edge.yaml

that exists. A flag wins over the environment, the environment over the file, the
file over the default. It keeps its data in --data, $EDGE_DATA, $STATE_DIRECTORY,
"data:" of the file, /var/lib/edge (root) or ~/.local/state/edge: the first that is
given.

After a change: edge check -c FILE, then edge reload (or SIGHUP). Only what changed
restarts; a file with errors changes nothing.`
