package modbus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeTemplate puts a template into a folder of the user's.
func writeTemplate(t *testing.T, name, text string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return folder
}

const meterTemplate = `name: My meter
parameters:
  phases: {default: "1", values: ["1", "3"]}
  base: {doc: Where it begins.}
max_registers: 20
entities:
- {id: power, address: 0x10, scale_address: 2, when: phases == 1, <<: &p {class: power, unit: W, format: f32}}
- {id: power, address: 0x20, when: phases == 3, <<: *p}
- {id: relay_n, name: The relay, address: 3, write: true, write_address: 4, kind: switch}
`

func TestResolve(t *testing.T) {
	folder := writeTemplate(t, "my-meter", meterTemplate)
	got, err := resolve(folder, "my-meter", map[string]string{"base": "0x100", "phases": "3"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Entities) != 2 || got.MaxRegisters != 20 {
		t.Fatalf("got %+v, want 2 entities and max_registers 20", got)
	}
	p, r := got.Entities[0], got.Entities[1]
	if p.Name != "Power" || *p.Address != 0x120 || p.ScaleAddress != nil || p.Format != F32 || p.When != "" {
		t.Errorf("power of three phases is %+v", p)
	}
	if r.Name != "The relay" || *r.Address != 0x103 || *r.WriteAddress != 0x104 {
		t.Errorf("the relay is %+v", r)
	}
	got, err = resolve(folder, "my-meter", map[string]string{"base": "0"})
	if err != nil || *got.Entities[0].Address != 0x10 || *got.Entities[0].ScaleAddress != 2 {
		t.Errorf("power of one phase is %+v, %v", got.Entities[0], err)
	}
}

// The user's folder comes first, and what is not there is built in.
func TestResolveFolderFirst(t *testing.T) {
	folder := writeTemplate(t, "eastron-sdm120", "name: Mine\nentities:\n- {id: a, address: 1}\n")
	mine, err := resolve(folder, "eastron-sdm120", nil)
	if err != nil || mine.Name != "Mine" {
		t.Errorf("eastron-sdm120 is %q, %v, want Mine", mine.Name, err)
	}
	theirs, err := resolve(folder, "eastron-sdm230", nil)
	if err != nil || theirs.Model != "SDM230-Modbus" {
		t.Errorf("eastron-sdm230 is %q, %v", theirs.Model, err)
	}
	names, err := TemplateNames(folder)
	if n := strings.Count(strings.Join(names, " "), "eastron-sdm120"); err != nil || n != 1 {
		t.Errorf("eastron-sdm120 is listed %d times in %v, %v", n, names, err)
	}
}

func TestResolveMistakes(t *testing.T) {
	folder := writeTemplate(t, "my-meter", meterTemplate)
	for _, c := range []struct {
		name       string
		parameters map[string]string
		want       string
	}{
		{"no-such", nil, `template: there is no template "no-such"; edge modbus templates lists them`},
		{"../my-meter", nil, `template: the name "../my-meter"`},
		{"my-meter", nil, "parameters.base: must be set"},
		{"my-meter", map[string]string{"base": "x"}, `parameters.base: "x" is no address`},
		{"my-meter", map[string]string{"base": "0xFFF0"}, "parameters.base: 65520: the address of power would be 65536"},
		{"my-meter", map[string]string{"base": "1", "phases": "2"}, `parameters.phases: "2" is not one of 1, 3`},
		{"my-meter", map[string]string{"base": "1", "phase": "3"}, "parameters.phase: the template has no such parameter; it has base, phases"},
		{"eastron-sdm120", map[string]string{"phase": "3"}, "it has none"},
	} {
		_, err := resolve(folder, c.name, c.parameters)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("resolve(%s, %v): %v, want %q", c.name, c.parameters, err, c.want)
		}
	}
}

// Everything that is wrong with a file is told at once, with its line.
func TestTemplateMistakes(t *testing.T) {
	folder := writeTemplate(t, "bad", `nam: x
parameters:
  phases: {default: "2", values: ["1", "3 or 4"]}
  "a b": {default: "1"}
entities:
- {id: a, addr: 1, when: phases == 3}
- {id: b, address: 70000, when: faces == 3}
`)
	_, err := resolve(folder, "bad", nil)
	wantLines(t, err, "bad.yaml:1:", "bad.yaml:6:", "bad.yaml:7:")

	folder = writeTemplate(t, "bad", `parameters:
  phases: {default: "2", values: ["1", "3 or 4"]}
  "a b": {default: "1"}
entities:
- {id: a, address: 1, when: phases == 3}
- {id: b, address: 7, when: faces == 3}
- {id: b, address: 8, when: faces == 3}
- {id: c, address: 8, when: phases = 3}
`)
	_, err = resolve(folder, "bad", nil)
	wantLines(t, err, "name: must be set", "bad.yaml:2:", `"2" is not one of`, "want one word",
		"bad.yaml:3:", "bad.yaml:5:", "phases is never 3", "bad.yaml:6:", "faces is no parameter",
		"bad.yaml:7:", "already the id", "bad.yaml:8:")

	folder = writeTemplate(t, "twice", `name: x
parameters:
  n: {default: "1"}
entities:
- {id: a, address: 1}
- {id: a, address: 2, when: n == 1}
`)
	_, err = resolve(folder, "twice", nil)
	wantLines(t, err, "twice.yaml:6:", "already the id of an earlier entity, with n == 1")
	if got, err := resolve(folder, "twice", map[string]string{"n": "2"}); err != nil || len(got.Entities) != 1 {
		t.Errorf("with n == 2: %+v, %v, want one entity", got.Entities, err)
	}
}

func TestTemplateTooLarge(t *testing.T) {
	folder := writeTemplate(t, "large", "name: "+strings.Repeat("x", maxTemplate))
	_, err := resolve(folder, "large", nil)
	wantLines(t, err, "is larger than 256 KiB")
}

func wantLines(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in:\n%v", w, err)
		}
	}
}

// FuzzTemplate: no file that somebody puts into the folder can do more than be
// refused, and what is accepted can be used.
func FuzzTemplate(f *testing.F) {
	names, err := TemplateNames("")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(names[:0:0], names[0], names[len(names)-1]) {
		file, err := FindTemplate("", name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file.Text)
	}
	f.Add([]byte(meterTemplate))
	f.Add([]byte("entities: [{id: a, when: x in (}]"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		file := TemplateFile{Name: "fuzz", File: "fuzz.yaml", Text: text}
		tmpl, err := file.Parse()
		if err != nil {
			return
		}
		given := map[string]string{}
		for name, p := range tmpl.Parameters {
			if p.Default == "" && len(p.Values) > 0 {
				given[name] = p.Values[0]
			}
		}
		values, err := tmpl.values(given)
		if err == nil && tmpl.choose(values) == nil {
			_ = tmpl.move(values)
		}
	})
}
