package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) auditCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Say who has changed what",
		Example: `  edge audit
  edge audit --json`,
		Long: `It lists the changes of users, roles, pairing and configuration, the oldest first: by
edge user, edge import and edge reload, and by clients with the role admin. They are
in the file "audit" of the hub's data directory, and the older ones in "audit.1".`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.printAudit(auditLog{dir: p.dir()}) },
	}
	p.flags(cmd.Flags())
	a.jsonFlag(cmd, "print one JSON object for each change")
	return cmd
}

func (a *app) printAudit(l auditLog) error {
	lines, bad, err := l.read()
	if err != nil {
		return err
	}
	if bad > 0 {
		fmt.Fprintf(a.err, "edge: lines that cannot be read: %d\n", bad)
	}
	if a.json {
		e := json.NewEncoder(a.out)
		for _, line := range lines {
			if err := e.Encode(line); err != nil {
				return err
			}
		}
		return nil
	}
	if len(lines) == 0 {
		fmt.Fprintf(a.err, "edge: nothing was changed yet, as far as %s knows\n", l.trail().files()[1])
		return nil
	}
	rows := [][]string{{"TIME", "WHO", "FROM", "WHAT", "ABOUT", "DETAIL", "OUTCOME"}}
	for _, l := range lines {
		rows = append(rows, []string{l.Time.Local().Format(time.DateTime), l.Who, l.From, l.What, l.About, l.Detail, l.Outcome})
	}
	return a.printTable(rows)
}
