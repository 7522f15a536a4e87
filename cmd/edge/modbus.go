package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"edge/bridge/modbus"
)

func (a *app) modbusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "modbus",
		Short: "Templates of Modbus units: list, show, make of a register table",
		Example: `  edge modbus templates
  edge modbus template eastron-sdm630
  edge modbus generate meter.csv > templates/meter.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.modbusTemplatesCommand(), a.modbusTemplateCommand(), a.modbusGenerateCommand())
	return cmd
}

// folderFlag gives cmd the flag for the user's own templates.
func folderFlag(cmd *cobra.Command, folder *string) {
	cmd.Flags().StringVar(folder, "folder", "", "a folder with templates of your own; they come before those that are built in")
}

func (a *app) modbusTemplatesCommand() *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use:   "templates",
		Short: "List the types of units that have a template",
		Example: `  edge modbus templates
  edge modbus templates --folder /etc/edge/modbus
  edge modbus templates --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.listTemplates(folder) },
	}
	folderFlag(cmd, &folder)
	a.jsonFlag(cmd, "print one JSON object for each template")
	return cmd
}

// A listedTemplate is what `edge modbus templates --json` prints.
type listedTemplate struct {
	Name         string            `json:"name"`
	File         string            `json:"file,omitempty"` // empty if it is built in
	Manufacturer string            `json:"manufacturer,omitempty"`
	Model        string            `json:"model,omitempty"`
	Source       string            `json:"source,omitempty"`
	Parameters   []listedParameter `json:"parameters,omitempty"`
	Entities     int               `json:"entities"`
}

type listedParameter struct {
	Name    string   `json:"name"`
	Default string   `json:"default,omitempty"`
	Values  []string `json:"values,omitempty"`
	Doc     string   `json:"doc,omitempty"`
}

// listTemplates lists all that can be used; what is wrong with others comes last.
func (a *app) listTemplates(folder string) error {
	names, err := modbus.TemplateNames(folder)
	if err != nil {
		return err
	}
	var list []listedTemplate
	var errs []error
	for _, name := range names {
		file, t, err := openTemplate(folder, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, listedTemplate{
			Name: name, File: file.File, Manufacturer: t.Manufacturer, Model: t.Model,
			Source: t.Source, Parameters: listParameters(t), Entities: len(t.Entities),
		})
	}
	return errors.Join(append([]error{a.printTemplates(list)}, errs...)...)
}

func listParameters(t modbus.Template) (list []listedParameter) {
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		p := t.Parameters[name]
		list = append(list, listedParameter{name, p.Default, p.Values, p.Doc})
	}
	return list
}

func openTemplate(folder, name string) (modbus.TemplateFile, modbus.Template, error) {
	file, err := modbus.FindTemplate(folder, name)
	if err != nil {
		return file, modbus.Template{}, err
	}
	t, err := file.Parse()
	return file, t, err
}

func (a *app) printTemplates(list []listedTemplate) error {
	if a.json {
		e := json.NewEncoder(a.out)
		for _, t := range list {
			if err := e.Encode(t); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"TEMPLATE", "MAKER", "MODEL", "PARAMETERS", "FILE"}}
	for _, t := range list {
		var parameters []string
		for _, p := range t.Parameters {
			parameters = append(parameters, p.Name)
		}
		rows = append(rows, []string{t.Name, t.Manufacturer, t.Model, strings.Join(parameters, ", "), t.File})
	}
	return a.printTable(rows)
}

func (a *app) modbusTemplateCommand() *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use:   "template NAME",
		Short: "Show a template, to read it or to change a copy",
		Example: `  edge modbus template eastron-sdm630
  edge modbus template growatt > templates/growatt.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, _, err := openTemplate(folder, args[0])
			if err != nil {
				return err
			}
			_, err = a.out.Write(file.Text)
			return err
		},
	}
	folderFlag(cmd, &folder)
	return cmd
}

func (a *app) modbusGenerateCommand() *cobra.Command {
	var numbers bool
	cmd := &cobra.Command{
		Use:   "generate TABLE.csv",
		Short: "Make a template of a register table in CSV",
		Example: `  edge modbus generate meter.csv > templates/meter.yaml
  edge modbus generate --numbers meter.csv     addresses are like 40001
  edge modbus generate - < meter.csv`,
		Long: `The first line names the columns: an address and a name must be there; a type, unit,
scale or divisor, access, table or function code, order and size may be. Columns that
it does not know are left out. Look at the result: it is as good as the table.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.generateTemplate(args[0], numbers) },
	}
	cmd.Flags().BoolVar(&numbers, "numbers", false, "addresses are numbers that count from 1, such as 30001 or 40001")
	return cmd
}

func (a *app) generateTemplate(file string, numbers bool) error {
	name, table := "standard input", a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("read a register table: %w", err)
		}
		defer f.Close()
		name, table = file, io.Reader(f)
	}
	text, err := modbus.GenerateTemplate(name, table, numbers)
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}
