package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInMovesPaths(t *testing.T) {
	cause := fs.ErrInvalid
	tests := []struct {
		prefix string
		err    error
		want   string
	}{
		{"a", Errorf("b", "x"), "a.b: x"},
		{"a", Errorf("[1].b", "x"), "a[1].b: x"},
		{"a", Errorf("", "x"), "a: x"},
		{"", Errorf("b", "x"), "b: x"},
		{"a.b[2]", In("c", Errorf("d", "x %w", cause)), "a.b[2].c.d: x invalid argument"},
		{"a", errors.Join(Errorf("b", "x"), errors.Join(Errorf("c", "y"), cause)), "a.b: x\na.c: y\na: invalid argument"},
		{"a", cause, "a: invalid argument"},
		{"a", Errors{{File: "f", Line: 1, Column: 2, Message: "x"}}, "f:1:2: x"},
	}
	for _, tt := range tests {
		if got := In(tt.prefix, tt.err); got == nil || got.Error() != tt.want {
			t.Errorf("In(%q, %q) = %q, want %q", tt.prefix, tt.err, got, tt.want)
		}
	}
	if err := In("a", nil); err != nil {
		t.Errorf("In of nil = %v", err)
	}
	if err := In("a", errors.Join(nil, nil)); err != nil {
		t.Errorf("In of nothing joined = %v", err)
	}
	if err := In("a", Errorf("b", "x: %w", cause)); !errors.Is(err, cause) {
		t.Errorf("%v has lost its cause", err)
	}
}

func TestLocate(t *testing.T) {
	const text = `node: kitchen
broker:
  listeners:
    - port: 1
    - address: x
labels:
  a.b: dotted
  a/b c: spaced
  block: |
    text
`
	tree, err := Parse("edge.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{"", "edge.yaml:1:1: x"},
		{"node", "edge.yaml:1:7: node: x"},
		{"broker", "edge.yaml:2:1: broker: x"},
		{"broker.ratio", "edge.yaml:2:1: broker.ratio: x"},
		{"broker.listeners", "edge.yaml:3:3: broker.listeners: x"},
		{"broker.listeners[1].address", "edge.yaml:5:16: broker.listeners[1].address: x"},
		{"broker.listeners[1].port", "edge.yaml:5:7: broker.listeners[1].port: x"},
		{"broker.listeners[7]", "edge.yaml:3:3: broker.listeners[7]: x"},
		{"broker.listeners[x", "edge.yaml:3:3: broker.listeners[x: x"},
		{"broker.listeners[-1]", "edge.yaml:3:3: broker.listeners[-1]: x"},
		{"labels.a.b", "edge.yaml:7:8: labels.a.b: x"},
		{"labels.a/b c.d", "edge.yaml:8:10: labels.a/b c.d: x"},
		{"labels.block", "edge.yaml:9:3: labels.block: x"},
		{"nowhere.at[1].all", "edge.yaml:1:1: nowhere.at[1].all: x"},
		{"..[", "edge.yaml:1:1: ..[: x"},
	}
	for _, tt := range tests {
		if err := tree.Locate(Errorf(tt.path, "x")); err == nil || err.Error() != tt.want {
			t.Errorf("Locate(%q) = %v, want %q", tt.path, err, tt.want)
		}
		if where := tree.Where(tt.path); !strings.HasPrefix(tt.want, where+":") || strings.Count(where, ":") != 1 {
			t.Errorf("Where(%q) = %q, want the beginning of %q", tt.path, where, tt.want)
		}
	}
	if where := new(Tree).Where("node"); where != "" {
		t.Errorf("Where without files = %q", where)
	}
	if err := tree.Locate(errors.Join(nil, nil)); err != nil {
		t.Errorf("Locate of nothing = %v", err)
	}
	if got, want := fmt.Sprint((*Tree)(nil).Locate(errors.Join(Errorf("a.b", "x"), fs.ErrExist))), "file already exists\na.b: x"; got != want {
		t.Errorf("Locate without files = %q, want %q", got, want)
	}
}

// What only follows from another mistake is not reported.
func TestLocateLeavesOutWhatFollows(t *testing.T) {
	tree, err := Parse("edge.yaml", []byte("broker:\n  packet: many\n  raito: 1\nlabels: [\n"))
	var h hub
	err = tree.Locate(errors.Join(err, tree.Decode(&h),
		Errorf("broker.packet", "must be more than 0"),
		Errorf("broker", "is wrong"),
		Errorf("broker.ratio", "must be set"),
		Errorf("labels.a", "must be set"),
		Errorf("broker.packets", "is something else"),
		Errorf("node", "must be set"), Errorf("node", "must be set"),
	))
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	var got []string
	for _, e := range errs {
		got = append(got, e.Path)
	}
	want := []string{"broker.packets", "node", "broker.packet", "broker.raito", ""}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("paths differ (-want +got):\n%s\n%v", d, err)
	}
}

func TestErrorsForMachines(t *testing.T) {
	tree, err := Parse("edge.yaml", []byte("node: a\nlvel: info\n"))
	var h hub
	err = errors.Join(err, tree.Decode(&h))
	got, jsonErr := json.Marshal(tree.Locate(errors.Join(err, errors.New("no place"))))
	want := `[{"file":"edge.yaml","line":2,"column":1,"path":"lvel","message":"unknown key; did you mean ` + "`level`" + `?"},` +
		`{"file":"edge.yaml","line":1,"column":1,"message":"no place"}]`
	if jsonErr != nil || !equalJSON(t, string(got), want) {
		t.Errorf("JSON is %s, %v; want %s in any order", got, jsonErr, want)
	}
}

func equalJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y []map[string]any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(y)
	return cmp.Equal(x, y)
}

func TestColour(t *testing.T) {
	_, err := Parse("edge.yaml", []byte("a: @\n"))
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	plain, colour := errs.Text(false), errs.Text(true)
	if strings.Contains(plain, "\x1b") {
		t.Errorf("%q has escape sequences", plain)
	}
	stripped := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[31m", "").Replace(colour)
	if colour == plain || stripped != plain {
		t.Errorf("with colour %q, without %q: want the same but for colour", colour, plain)
	}
}

func TestUnknownKey(t *testing.T) {
	many := strings.Fields("aa bb cc dd ee ff gg hh ii jj kk ll mm")
	tests := []struct {
		path  string
		known []string
		want  string
	}{
		{"bridges.porch.gpoi", []string{"gpio", "serial"}, "bridges.porch.gpoi: unknown key; did you mean `gpio`?"},
		{"zigbee", []string{"serial", "gpio"}, "zigbee: unknown key; known are `gpio` and `serial`"},
		{"zigbee", []string{"gpio"}, "zigbee: unknown key; only `gpio` is known here"},
		{"zigbee", nil, "zigbee: unknown key; nothing more can be set here"},
		{"zigbee", many, "zigbee: unknown key; among the known ones are `aa`, `bb`, `cc`, `dd`, `ee`, `ff`, `gg`, `hh`, `ii`, `jj`, `kk` and `ll`"},
	}
	for _, tt := range tests {
		if got := UnknownKey(tt.path, tt.known).Error(); got != tt.want {
			t.Errorf("UnknownKey(%q, %q) = %q, want %q", tt.path, tt.known, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"port", "port", 0}, {"prot", "port", 1}, {"por", "port", 1}, {"ports", "port", 1}, {"", "port", 4}, {"straße", "strasse", 2}, {"ca", "abc", 3}}
	for _, tt := range tests {
		if got, back := distance(tt.a, tt.b), distance(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("distance(%q, %q) = %d, and %d the other way round; want %d", tt.a, tt.b, got, back, tt.want)
		}
	}
}

// TestVeil keeps what looks like a password out of what is printed.
func TestVeil(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"anna: {password: hunter2}", "anna: {password: ••••••••"},
		{`  "Passwd" : 'grün'`, `  "Passwd" : ••••••`},
		{"remote_password: x # y", "remote_password: •••••"},
		{"token=abc", "token=•••"},
		{"password:", "password:"},
		{"password_file: /etc/passwd", "password_file: /etc/passwd"},
		{"pins: [{id: passage}]", "pins: [{id: passage}]"},
	} {
		if got := veil(tt.line); got != tt.want {
			t.Errorf("veil(%q) = %q, want %q", tt.line, got, tt.want)
		}
	}
	tree, err := Parse("edge.yaml", []byte("node: a\npassword: hunter2\nlevel: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	var errs Errors
	if !errors.As(tree.Decode(new(hub)), &errs) || strings.Contains(errs.Text(true)+errs.Error(), "hunter2") {
		t.Errorf("a password is printed:\n%s", errs.Text(false))
	}
}
