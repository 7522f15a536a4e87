package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func decodeText(t *testing.T, text string, into any) {
	t.Helper()
	tree, err := Parse("edge.yaml", []byte(text))
	if err := tree.Locate(errors.Join(err, tree.Decode(into))); err != nil {
		t.Fatalf("Decode(%q): %v", text, err)
	}
}

func TestDecodeReadsOverDefaults(t *testing.T) {
	secure := listener{Port: 1883, TLS: &tls{Cert: "c", Key: "k"}}
	tests := []struct {
		name, text string
		want       func(*hub)
	}{
		{"nothing", "", func(*hub) {}},
		{"a comment", "# nothing\n", func(*hub) {}},
		{"an empty document", "---\n", func(*hub) {}},
		{"empty mappings", "broker:\nlabels:\nextra:\n", func(*hub) {}},
		{"a key keeps its neighbours", "broker: {ratio: 2}", func(h *hub) { h.Broker.Ratio = 2 }},
		{"CR LF and a byte order mark", "\ufeffnode: a\r\nbroker:\r\n  packet: 1\r\n", func(h *hub) { h.Node, h.Broker.Packet = "a", 1 }},
		{"text is as written", "labels: {a: 1.10, b: 0755, c: on, d: true, e: '', f: \"x\\ny\", g: 1e3}", func(h *hub) {
			h.Labels = map[string]string{"a": "1.10", "b": "0755", "c": "on", "d": "true", "e": "", "f": "x\ny", "g": "1e3"}
		}},
		{"keys are text too", "labels: {on: a, 1: b, true: c, null: d}", func(h *hub) {
			h.Labels = map[string]string{"on": "a", "1": "b", "true": "c", "null": "d"}
		}},
		{"blocks", "labels:\n  a: |\n    x\n    y\n  b: >-\n    x\n    y\n", func(h *hub) {
			h.Labels = map[string]string{"a": "x\ny\n", "b": "x y"}
		}},
		{"values of a set", "level: off", func(h *hub) { h.Level = "off" }},
		{"a duration", "broker: {connect_timeout: 1d2h3.5s}", func(h *hub) { h.Broker.Timeout = 26*time.Hour + 3500*time.Millisecond }},
		{"no duration", "broker: {connect_timeout: 0}", func(h *hub) { h.Broker.Timeout = 0 }},
		{"numbers", "broker: {packet: 0x10, ratio: -1.5e-3}", func(h *hub) { h.Broker.Packet, h.Broker.Ratio = 16, -0.0015 }},
		{"octal that says so", "broker: {packet: 0o755, ratio: 7}", func(h *hub) { h.Broker.Packet, h.Broker.Ratio = 493, 7 }},
		{"items have defaults", "broker: {listeners: [{address: 1.2.3.4}, {port: 0}, {}]}", func(h *hub) {
			h.Broker.Listeners = []listener{{Address: netip.MustParseAddr("1.2.3.4"), Port: 1883}, {}, {Port: 1883}}
		}},
		{"pointers", "broker: {listeners: [{tls: {cert: c, key: k}}, {tls: null}]}", func(h *hub) {
			h.Broker.Listeners = []listener{secure, {Port: 1883}}
		}},
		{"a list in the column of its key", "broker:\n  listeners:\n  - port: 1\n  packet: 2\n", func(h *hub) {
			h.Broker.Listeners, h.Broker.Packet = []listener{{Port: 1}}, 2
		}},
		{"aliases", "labels: &l {a: x}\nextra: *l\n", func(h *hub) {
			h.Labels, h.Extra = map[string]string{"a": "x"}, map[string]any{"a": "x"}
		}},
		{"merge keys", "extra: &e {a: x, b: y}\nlabels:\n  <<: *e\n  a: z\n", func(h *hub) {
			h.Labels, h.Extra = map[string]string{"a": "z", "b": "y"}, map[string]any{"a": "x", "b": "y"}
		}},
		{"several merge keys", "extra: [&a {x: a}, &b {x: b, y: b}]\nlabels: {<<: [*a, *b]}\n", func(h *hub) {
			h.Labels = map[string]string{"x": "a", "y": "b"}
			h.Extra = []any{map[string]any{"x": "a"}, map[string]any{"x": "b", "y": "b"}}
		}},
		{"anything", "extra: [1, -1, 1.5, 18446744073709551615, true, ~, on, '1', 0755]", func(h *hub) {
			h.Extra = []any{int64(1), int64(-1), 1.5, uint64(1<<64 - 1), true, nil, "on", "1", "0755"}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, want := defaultHub(), defaultHub()
			decodeText(t, tt.text, &got)
			tt.want(&want)
			if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("Decode(%q) differs (-want +got):\n%s", tt.text, d)
			}
		})
	}
}

func TestDecodeChangesNoDefaults(t *testing.T) {
	defaults := map[string]string{"a": "x"}
	h := hub{Labels: defaults}
	decodeText(t, "labels: {b: y}", &h)
	if want := map[string]string{"a": "x", "b": "y"}; !cmp.Equal(h.Labels, want) {
		t.Errorf("labels = %v, want %v", h.Labels, want)
	}
	if len(defaults) != 1 {
		t.Errorf("the default became %v", defaults)
	}
}

func TestDecodeNeedsAPointer(t *testing.T) {
	if err := new(Tree).Decode(hub{}); err == nil {
		t.Error("Decode into a struct gave no error")
	}
}

func TestSectionsAreDecodedLater(t *testing.T) {
	var h hub
	decodeText(t, "bridges:\n  porch:\n    gpio:\n      prefix: p\n      pins: [{line: 17}]\n      map: {3: {line: 4}}\n  clock:\n    tick:\n", &h)
	gpio := h.Bridges["porch"]["gpio"]
	if got, want := gpio.Path(), "bridges.porch.gpio"; got != want {
		t.Errorf("Path() = %q, want %q", got, want)
	}
	got := relay{Pins: []pin{{Line: 1}, {Line: 2}}}
	if err := gpio.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := relay{common{"p"}, []pin{{Line: 17}}, map[int]pin{3: {Line: 4}}}
	if !cmp.Equal(got, want, cmp.AllowUnexported(relay{})) {
		t.Errorf("Decode gave %+v, want %+v", got, want)
	}
	tick := h.Bridges["clock"]["tick"]
	if err := tick.Decode(&got); err != nil || !tick.Present() || !cmp.Equal(got, want, cmp.AllowUnexported(relay{})) {
		t.Errorf("an empty section: Present() = %t, Decode gave %+v, %v; want true and no change", tick.Present(), got, err)
	}
	if (Section{}).Present() || (Section{}).Decode(&got) != nil {
		t.Error("the zero section is present, or cannot be decoded")
	}
}

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "edge.yaml")
}

func TestFilesBecomeOneTree(t *testing.T) {
	file := write(t, t.TempDir(), map[string]string{
		"edge.yaml":             "node: a\nbroker:\nbridges:\n  porch: {gpio: {prefix: p}}\n",
		"conf.d/10-broker.yaml": "broker:\n  packet: 1\n",
		"conf.d/20-more.yaml":   "broker:\n  ratio: 2\nbridges:\n  cellar: {gpio: {}}\n  porch: {gpio: {pins: [{line: 1}]}}\n",
		"conf.d/30-empty.yaml":  "# nothing yet\n",
		"conf.d/.hidden.yaml":   "node: [\n",
		"conf.d/README":         "not YAML: at: all",
	})
	tree, err := Load(file)
	var h hub
	if err := errors.Join(err, tree.Decode(&h)); err != nil {
		t.Fatal(err)
	}
	if h.Node != "a" || h.Broker.Packet != 1 || h.Broker.Ratio != 2 || len(h.Bridges) != 2 {
		t.Errorf("Decode gave %+v", h)
	}
	var porch relay
	if err := h.Bridges["porch"]["gpio"].Decode(&porch); err != nil || porch.Prefix != "p" || len(porch.Pins) != 1 {
		t.Errorf("Decode of a section from two files gave %+v, %v", porch, err)
	}
	origins := make(map[string]string)
	for _, v := range tree.Values("", h) {
		origins[v.Path] = v.Value + " " + filepath.Base(v.Origin)
	}
	want := map[string]string{
		"node": "a edge.yaml:1", "level": " default", "broker.packet": "1 10-broker.yaml:2", "broker.ratio": "2 20-more.yaml:2",
		"broker.allow_anonymous": "false default", "broker.connect_timeout": "0s default",
	}
	if d := cmp.Diff(want, origins); d != "" {
		t.Errorf("Values differ (-want +got):\n%s", d)
	}
}

// TestLoadWith reads a file of conf.d that is not there yet, or not so.
func TestLoadWith(t *testing.T) {
	file := write(t, t.TempDir(), map[string]string{
		"edge.yaml": "node: a\n", "conf.d/10.yaml": "level: info\n", "conf.d/30.yaml": "broker: {packet: 1}\n",
	})
	for _, tt := range []struct{ fragment, text, want string }{
		{"20.yaml", "broker: {ratio: 2}\n", ""},
		{"30.yaml", "broker: {packet: 2}\n", ""},
		{"20.yaml", "broker: {packet: 2}\n", "30.yaml:1:18: broker.packet: is set in"},
		{"20.yaml", "level: info\n", "20.yaml:1:8: level: is set in"},
	} {
		_, err := LoadWith(file, tt.fragment, []byte(tt.text))
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("with %s %q: %s, want %q", tt.fragment, tt.text, got, tt.want)
		}
	}
}

func TestLoadReportsFilesThatCannotBeRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "edge.yaml")
	tree, err := Load(missing)
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != missing+": cannot be read: no such file or directory" {
		t.Errorf("Load = %v", err)
	}
	if h := defaultHub(); tree.Decode(&h) != nil || !cmp.Equal(h, defaultHub(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("the tree of no file decoded to %+v", h)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("Load of a folder = %v", err)
	}
	file := write(t, t.TempDir(), map[string]string{"edge.yaml": "# " + strings.Repeat("x", maxFile)})
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "larger than 1024 KiB") {
		t.Errorf("Load of a large file = %v", err)
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += strings.ReplaceAll("C: &C [*P,*P,*P,*P,*P,*P,*P,*P,*P,*P]\n", "C", string(c))
		bomb = strings.ReplaceAll(bomb, "*P", "*"+string(c-1))
	}
	ladder := "a: &a {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {x: {}}}}}}}}}}}}\n"
	rungs := ladder
	for c := 'b'; c <= 'j'; c++ {
		rungs += strings.NewReplacer("&a", "&"+string(c), "a:", string(c)+":", "{}", "*"+string(c-1)).Replace(ladder)
	}
	tests := []struct{ name, text, want string }{
		{"aliases of aliases", bomb, "more than 100000 values"},
		{"aliases in aliases", rungs, "nested more than 64 deep"},
		{"merge keys", "a: &a {" + strings.Repeat("x: {y: z}, ", 1) + "b: 1}\nc: [" + strings.Repeat("{<<: *a}, ", 30000) + "]", "more than 100000 values"},
		{"brackets", "a: " + strings.Repeat("[", 500_000), "nested more than 64 deep"},
		{"braces", "a: " + strings.Repeat("{a: ", 200_000), "nested more than 64 deep"},
		{"dashes", strings.Repeat("- ", 500_000), "nested more than 64 deep"},
		{"question marks", strings.Repeat("? ", 500_000), "is not read"},
		{"tags", "a: " + strings.Repeat("!x ", 300_000), "tags are not read"},
		{"anchors", "a: " + strings.Repeat("&x ", 300_000), "one anchor only"},
		{"values", "a: [" + strings.Repeat("1,", 200_000) + "]", "more than 100000 values"},
		{"bytes", strings.Repeat("#\n", maxFile), "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := Parse("edge.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse = %.200v, want an error with %q", err, tt.want)
			}
			var all any
			_ = tree.Decode(&all) // What is left must be small enough to be walked.
		})
	}
	deep := "a: " + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1)
	if _, err := Parse("edge.yaml", []byte(deep)); err != nil {
		t.Errorf("Parse of %d levels: %v", maxDepth, err)
	}
}

func TestDurationsMatchTheirPattern(t *testing.T) {
	pattern := regexp.MustCompile(durationPattern)
	for s, want := range map[string]bool{
		"10s": true, "1h30m": true, "7d": true, "1d12h": true, "-30m": true, "1.5h": true, "0": true, "+1d": true, "5µs": true, ".5s": true,
		"": false, "-": false, "10": false, "s": false, "1d-2h": false, "d": false, "1h2d": false, "1 s": false, "1w": false,
	} {
		_, err := parseDuration(s)
		if (err == nil) != want || pattern.MatchString(s) != want {
			t.Errorf("%q: parseDuration says %v, the pattern says %t, want %t", s, err, pattern.MatchString(s), want)
		}
	}
	for _, s := range []string{"106752d", "99999999999999999999d", "106751d24h"} {
		if x, err := parseDuration(s); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", s, x)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[-+]?[0-9.dhms]{1,8}`).Draw(t, "s")
		if _, err := parseDuration(s); err == nil && !pattern.MatchString(s) {
			t.Errorf("%q is read but does not match the pattern", s)
		}
		d := time.Duration(rapid.Int64().Draw(t, "d"))
		if got, err := parseDuration(d.String()); err != nil || got != d {
			t.Errorf("parseDuration(%q) = %v, %v", d.String(), got, err)
		}
	})
}
