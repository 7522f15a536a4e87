package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) reloadCommand() *cobra.Command {
	var file, data string
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the running hub read its configuration again",
		Example: `  edge reload
  edge reload -c /etc/edge/edge.yaml
  edge reload --data /var/lib/edge`,
		Long: `It asks through control.sock in the hub's data directory and waits for the answer.
Only what changed restarts; a configuration with errors changes nothing and is
reported here, with exit code 3. SIGHUP does the same, with errors in the log.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := ask(cmd.Context(), dataOf(file, data), "reload")
			if err != nil {
				return err
			}
			return a.reloaded(r)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "the hub's configuration, which says where its data is")
	cmd.Flags().StringVar(&data, "data", "", "the hub's data directory")
	a.jsonFlag(cmd, "print one JSON object")
	return cmd
}

// dataOf returns the data directory of the hub that is meant. A file with
// errors may still say it.
func dataOf(file, data string) string {
	if data != "" {
		return data
	}
	if dir := env("EDGE_DATA"); dir != "" {
		return dir
	}
	if file == "" {
		file = findConfig()
	}
	p, err := readPlan(file, nil)
	if err != nil && p.Data == "" {
		return defaultDataDir()
	}
	return p.Data
}

func (a *app) reloaded(r reply) error {
	if a.json {
		if err := json.NewEncoder(a.out).Encode(r); err != nil {
			return err
		}
	}
	switch {
	case !r.OK && r.Config:
		return coded(exitConfig, fmt.Errorf("nothing changed; the configuration has errors:\n%s", r.Error))
	case !r.OK:
		return errors.New("nothing changed: " + r.Error)
	case a.json:
		return nil
	case len(r.Changed) == 0:
		fmt.Fprintln(a.out, "nothing to change")
		return nil
	}
	fmt.Fprintln(a.out, strings.Join(r.Changed, "\n"))
	return nil
}
