package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"edge/internal/config"
)

func (a *app) checkCommand() *cobra.Command {
	var file string
	var schema, origin bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Find all mistakes in a configuration, without hardware",
		Example: `  edge check -c edge.yaml
  edge check --json edge.yaml
  edge check --origin edge.yaml            every value, and where it comes from
  edge check --schema > edge.schema.json   for editors`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if schema {
				return a.printSchema()
			}
			if len(args) == 1 {
				file = args[0]
			}
			file, err := namedOrFound(file)
			if err != nil {
				return err
			}
			return a.check(file, origin)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file; conf.d/*.yaml beside it is read too")
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the configuration")
	cmd.Flags().BoolVar(&origin, "origin", false, "print every value, and the file and line that it comes from")
	a.jsonFlag(cmd, "print one JSON object")
	return cmd
}

// A checked is what `edge check --json` prints.
type checked struct {
	File    string         `json:"file"`
	OK      bool           `json:"ok"`
	Errors  config.Errors  `json:"errors,omitempty"`
	Bridges []string       `json:"bridges,omitempty"`
	Values  []config.Value `json:"values,omitempty"`
}

func (a *app) check(file string, origin bool) error {
	p, err := readPlan(file, nil)
	c := checked{File: file, OK: err == nil, Bridges: slices.Sorted(maps.Keys(p.bridges))}
	if e, ok := errors.AsType[configError](err); ok {
		c.Errors = e.Errors
	}
	if origin && err == nil {
		c.Values = p.values()
	}
	if a.json {
		if encErr := json.NewEncoder(a.out).Encode(c); encErr != nil {
			return encErr
		}
		if err != nil {
			return quietError{err}
		}
		return nil
	}
	if err != nil {
		return err
	}
	for _, v := range c.Values {
		fmt.Fprintf(a.out, "%s: %s  %s\n", v.Path, v.Value, a.paint(a.out, dim, "# "+v.Origin))
	}
	if !origin {
		fmt.Fprintf(a.out, "%s: no mistakes; %d listeners, %d bridges\n", file, len(p.Broker.Listeners), len(p.bridges))
	}
	return nil
}

// values lists every value of the configuration, bridges last.
func (p *plan) values() []config.Value {
	values := p.tree.Values("", p.settings)
	for _, name := range slices.Sorted(maps.Keys(p.bridges)) {
		b := p.bridges[name]
		values = append(values, p.tree.Values("bridges."+name+"."+b.kind.name, b.config)...)
	}
	return values
}

func (a *app) printSchema() error {
	b, err := schema()
	if err != nil {
		return err
	}
	_, err = a.out.Write(b)
	return err
}

// schema returns the JSON Schema of the whole configuration. What this machine
// would put in is left out of it.
func schema() ([]byte, error) {
	s := defaultSettings()
	s.Node = ""
	known := map[string]any{}
	for _, k := range kinds {
		known[k.name] = k.defaults
	}
	return config.Schema(s, config.Sections{"bridges.*": known})
}
