package main

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"edge/internal/config"
)

var update = flag.Bool("update", false, "write the golden files")

const documented = "../../docs/edge.yaml"

func TestDocumentedConfigIsValid(t *testing.T) {
	p, err := readPlan(documented, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		if !slices.ContainsFunc(slices.Collect(maps.Values(p.bridges)), func(b planned) bool { return b.kind == k }) {
			t.Errorf("%s shows no bridge of kind %s", documented, k.name)
		}
	}
}

func TestDocumentedConfigHasEveryKey(t *testing.T) {
	tree, err := config.Load(documented)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := tree.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	missing(t, "", reflect.TypeFor[settings](), []any{doc})
	bridges, ok := doc["bridges"].(map[string]any)
	if !ok {
		t.Fatalf("bridges is a %T", doc["bridges"])
	}
	for _, k := range kinds {
		var shown []any
		for _, b := range bridges {
			if section, ok := b.(map[string]any)[k.name]; ok {
				shown = append(shown, section)
			}
		}
		missing(t, "bridges.*."+k.name, reflect.TypeOf(k.defaults), shown)
	}
}

// missing reports the keys of a type that no example of it has.
func missing(t *testing.T, path string, typ reflect.Type, examples []any) {
	t.Helper()
	switch typ.Kind() {
	case reflect.Pointer:
		missing(t, path, typ.Elem(), examples)
	case reflect.Slice:
		var items []any
		for _, e := range examples {
			if list, ok := e.([]any); ok {
				items = append(items, list...)
			}
		}
		missing(t, path+"[]", typ.Elem(), items)
	case reflect.Struct:
		for f := range typ.Fields() {
			switch key := f.Tag.Get("yaml"); key {
			case "":
			case ",inline":
				missing(t, path, f.Type, examples)
			default:
				missingKey(t, path, key, f.Type, examples)
			}
		}
	}
}

func missingKey(t *testing.T, path, key string, typ reflect.Type, examples []any) {
	t.Helper()
	var values []any
	for _, e := range examples {
		if m, ok := e.(map[string]any); ok && m[key] != nil {
			values = append(values, m[key])
		}
	}
	at := strings.TrimPrefix(path+"."+key, ".")
	if len(values) == 0 {
		t.Errorf("%s does not show %s", documented, at)
		return
	}
	missing(t, at, typ, values)
}

func TestSchema(t *testing.T) {
	const golden = "../../docs/edge.schema.json"
	got, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what the types say; go test ./cmd/edge -run TestSchema -update writes it", golden)
	}
}

func TestReadPlanFindsEveryMistake(t *testing.T) {
	const gpios = "bridges:\n  a: {gpio: {pins: [{id: x, pin: GPIO17, direction: input}]}}\n"
	tests := []struct {
		name, text string
		want       []string // parts of the mistakes, in order
	}{
		{"empty", "", nil},
		{"prefix", "prefix: a/b\nnode: '#'\n", []string{`:1:9: prefix: "a/b" may`, `:2:7: node: "#" may`}},
		{"no kind", "bridges:\n  a: {}\n", []string{"bridges.a: has 0 kinds; give it one: gpio, modbus, modbus-server, serial, tick"}},
		{"two kinds", "bridges:\n  a: {tick: {}, gpio: {pins: [{id: x, pin: '11', direction: input}]}}\n", []string{"has 2 kinds"}},
		{"unknown kind", "bridges:\n  a: {gpoi: {}}\n", []string{"there is no such kind of bridge; give one of gpio, modbus, modbus-server, serial, tick"}},
		{"bad name", "bridges:\n  A b: {tick: {}}\n", []string{"may have a-z, 0-9, _ and - only"}},
		{"taken name", "bridges:\n  status: {tick: {}}\n", []string{"topic of the hub itself"}},
		{"in a bridge", "bridges:\n  a: {tick: {interval: 1ms}}\n  b: {tick: {intervall: 1s}}\n", []string{
			":2:24: bridges.a.tick.interval: is 1ms", "did you mean `interval`",
		}},
		{"one line twice", gpios + "  b: {gpio: {pins: [{id: y, pin: '7', direction: input}, {id: z, pin: '11', direction: output}]}}\n", []string{
			":3:71: bridges.b.gpio.pins[1].pin: bridge a has it already",
		}},
		{"one line by offset", gpios + "  b: {gpio: {pins: [{id: y, offset: 17, direction: input}]}}\n", []string{
			"bridges.b.gpio.pins[0].offset: bridge a has it already",
		}},
		{"one PWM channel twice", gpios + "  b: {gpio: {pwm: [{id: f, channel: 1, frequency: 100}]}}\n  c: {gpio: {pwm: [{id: f, channel: 1, frequency: 50}]}}\n", []string{
			"bridges.c.gpio.pwm[0].channel: bridge b has it already",
		}},
		{"lines of two chips", gpios + "  b: {gpio: {pins: [{id: y, offset: 17, chip: other, direction: input}]}}\n", nil},
		{"one port twice", `
bridges:
  a: {serial: {port: usb-stick, entities: [{id: x}]}}
  b: {serial: {port: /dev/serial/by-id/usb-stick, entities: [{id: x}]}}
  c: {serial: {port: usb-other, entities: [{id: x}]}}
`, []string{":4:22: bridges.b.serial.port: bridge a has it already"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "edge.yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readPlan(file, nil)
			var got config.Errors
			if e, ok := errors.AsType[configError](err); ok {
				got = e.Errors
			}
			if len(got) != len(tt.want) {
				t.Fatalf("mistakes:\n%v\nwant %d", err, len(tt.want))
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i].Error(), want) {
					t.Errorf("mistake %d is %q, want it to have %q", i, got[i], want)
				}
			}
		})
	}
}

func TestConfDIsMerged(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"edge.yaml":         "bridges:\n  a: {tick: {}}\n",
		"conf.d/20-b.yaml":  "bridges:\n  b: {tick: {interval: 20s}}\n",
		"conf.d/10-c.yaml":  "log_level: debug\n",
		"conf.d/readme.txt": "nothing\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := readPlan(filepath.Join(dir, "edge.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(p.bridges)); !slices.Equal(got, []string{"a", "b"}) || p.LogLevel != "debug" {
		t.Errorf("bridges %q, log level %s, want a, b and debug", got, p.LogLevel)
	}
}
