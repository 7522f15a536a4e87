package modbus

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite what is made of the code")

// TestTemplatesPage keeps the table of docs/modbus-templates.md true.
func TestTemplatesPage(t *testing.T) {
	const page = "../../docs/modbus-templates.md"
	const begin, end = "-update -->\n", "<!-- end of templates -->"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	is, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	want := "\n" + templatesTable(t) + "\n"
	if is == want {
		return
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table of %s is not that of the files; go test ./bridge/modbus -run TestTemplatesPage -update\ngot\n%s\nwant\n%s", page, is, want)
}

func templatesTable(t *testing.T) string {
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| template | maker and model | parameters, the default first | made of |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		tmpl := all[name]
		fmt.Fprintf(&b, "| `%s` | %s: %s | %s | %s |\n", name, tmpl.Manufacturer, tmpl.Model, parametersText(tmpl), tmpl.Source)
	}
	return b.String()
}

// parametersText writes parameters for the table: `phases`: 3, 1.
func parametersText(tmpl Template) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(tmpl.Parameters)) {
		p := tmpl.Parameters[name]
		others := slices.DeleteFunc(slices.Clone(p.Values), func(v string) bool { return v == p.Default })
		parts = append(parts, fmt.Sprintf("`%s`: %s", name, strings.Join(append([]string{p.Default}, others...), ", ")))
	}
	return strings.Join(parts, "; ")
}
