package main

import "github.com/spf13/cobra"

// Examples come first: they are what people look for.
const helpTemplate = `{{with .Short}}{{.}}

{{end}}{{if .HasExample}}Examples:
{{.Example}}

{{end}}{{with .Long}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}`

const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{$cmds := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}

Others:{{range $cmds}}{{if and (eq .GroupID "") (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of every command:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasHelpSubCommands}}

More to read:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad (print "edge help " .Name) 22}} {{.Short}}{{end}}{{end}}{{end}}
`

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
