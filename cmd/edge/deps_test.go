package main_test

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the root of the repository, seen from this package.
const root = "../.."

// layers is the table of docs/architecture.md: what stands on what. A package
// imports only packages of a lower layer; what must go sideways goes over MQTT.
var layers = [][]string{
	0: {
		"internal/codec", "internal/config", "internal/frame", "internal/gpiochip", "internal/modbus", "internal/pwm", "internal/topic",
		"internal/uart", "internal/wholefile", "internal/zigbee",
	},
	1: {
		"broker/access", "broker/journal", "broker/login", "internal/guard", "internal/periphpin", "internal/pki",
		"internal/zigbee/ash", "internal/zigbee/unpi", "internal/zigbee/zcl", "internal/zigbee/zdo",
	},
	2: {"bridge", "broker/delivery", "internal/zigbee/ezsp", "internal/zigbee/znp"},
	3: {"bridge/bridgetest", "broker/gate", "internal/sim"},
	4: {
		"bridge/gpio", "bridge/modbus", "bridge/serial", "bridge/tick", "bridge/upstream",
		"bridge/zigbee", "broker",
		"internal/discovery", "internal/metrics", "internal/rules", "internal/web",
	},
	5: {"bench/...", "broker/interop", "build/...", "cmd/edge", "test/..."},
}

// why says for each layer what a package of it would lose by looking up or
// sideways.
var why = []string{
	0: "layer 0 is bytes, files and names: it must be usable and testable without anything of ours",
	1: "layer 1 is codecs, the log and pure decisions: they know no message path",
	2: "layer 2 is the two hubs, bridge and delivery: what is plugged into them must not be known to them",
	3: "layer 3 is one end of a wire: it knows its hub, not its neighbours",
	4: "layer 4 is clients and the server, which meet over MQTT only, so that each can be watched, replaced and left out",
	5: "layer 5 is programs: nothing imports them, and they do not import each other",
}

// A library is an external module with the packages that may import it.
type library struct {
	module string
	owners []string // "*" is everybody; none: tests only
	tests  bool     // any test may use it, too
	why    string
}

var libraries = []library{
	{
		"github.com/mochi-mqtt/server/v2",
		[]string{"broker", "broker/gate", "bench/..."},
		false,
		"the control plane must stay replaceable behind a thin adapter",
	},
	{
		"periph.io/x/conn/v3",
		[]string{"bridge/gpio", "internal/periphpin", "internal/sim"},
		false,
		"periph has global registries, and calls that switch a relay off",
	},
	{
		"periph.io/x/host/v3",
		[]string{"bridge/gpio", "internal/sim"},
		false,
		"periph has global registries, and calls that switch a relay off",
	},
	{
		"github.com/tarm/serial",
		[]string{"internal/uart"},
		false,
		"its Close does not unblock a Read, and its time-out looks like a hang-up; internal/uart hides both",
	},
	{
		"github.com/goccy/go-yaml",
		[]string{"internal/config"},
		false,
		"YAML is read strictly and with places, in one way only",
	},
	{
		"github.com/eclipse/paho.golang",
		[]string{"bridge/upstream", "cmd/edge"},
		true,
		"within the process a bridge.Client is the way to the broker",
	},
	{
		"github.com/eclipse/paho.mqtt.golang", nil, true,
		"it is a peer in tests; the product speaks MQTT 5 to others",
	},
	{
		"github.com/gorilla/websocket",
		[]string{"broker"},
		true,
		"a WebSocket is one of the broker's listeners; above it, it is a net.Conn",
	},
	{
		"github.com/VictoriaMetrics/metrics",
		[]string{"internal/metrics"},
		false,
		"its registry is global and grows with each name; internal/metrics makes one for each scrape",
	},
	{"github.com/spf13/cobra", []string{"cmd/edge"}, false, "the command line is the program's"},
	{"github.com/spf13/pflag", []string{"cmd/edge"}, false, "the command line is the program's"},
	{"github.com/coreos/go-systemd/v22", []string{"cmd/edge"}, false, "the process talks to systemd, not its parts"},
	{
		"golang.org/x/crypto",
		[]string{"broker/login"},
		false,
		"argon2id, which the standard library lacks, is for passwords, and those are login's",
	},
	{"golang.org/x/term", []string{"bench/...", "cmd/edge"}, false, "only programs have a terminal"},
	{
		"golang.org/x/sys",
		[]string{"bench/...", "broker", "broker/journal", "cmd/edge", "internal/gpiochip", "internal/guard", "internal/sim", "internal/uart", "test/..."},
		true,
		"system calls have few homes",
	},
	{"golang.org/x/sync", []string{"*"}, true, "errgroup is how goroutines are owned"},
	{"github.com/google/go-cmp", nil, true, "it is for tests"},
	{"github.com/rogpeppe/go-internal", nil, true, "it is for tests"},
	{"go.uber.org/goleak", nil, true, "it is for tests"},
	{"pgregory.net/rapid", nil, true, "it is for tests"},
}

// A file is what the rule needs to know of a Go file.
type file struct {
	path    string // from the root of the repository
	imports []string
}

func (f file) pkg() string { return path.Dir(f.path) }

// test reports whether f is never part of the product.
func (f file) test() bool { return strings.HasSuffix(f.path, "_test.go") || isSuite(f.pkg()) }

// isSuite reports whether pkg holds fakes or suites, for tests only.
func isSuite(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// isFarEnd reports whether every test may import pkg: it is a suite, or the far
// end of a wire.
func isFarEnd(pkg string) bool { return pkg == "internal/sim" || isSuite(pkg) }

// half is the layer of pkg in halves, or -1 if it has none. A suite that
// is not in the table stands half a layer above its parent, and thus may import
// it.
func half(pkg string) int {
	for n, pkgs := range layers {
		if slices.ContainsFunc(pkgs, func(p string) bool { return within(p, pkg) }) {
			return 2 * n
		}
	}
	if parent := path.Dir(pkg); isSuite(pkg) && half(parent) >= 0 {
		return half(parent) + 1
	}
	return -1
}

// within reports whether pattern names pkg. One that ends in "/..." names what is
// below, too, as for the go command.
func within(pattern, pkg string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == dir || strings.HasPrefix(pkg, dir+"/")
	}
	return pattern == pkg || pattern == "*"
}

// violations says what is wrong with the imports of f, one sentence each.
func violations(f file) []string {
	if half(f.pkg()) < 0 {
		return []string{fmt.Sprintf("%s: package %s has no layer: give it one in docs/architecture.md and deps_test.go", f.path, f.pkg())}
	}
	var bad []string
	for _, imp := range f.imports {
		if ours, ok := strings.CutPrefix(imp, "edge/"); ok {
			bad = append(bad, sideways(f, ours)...)
		} else if strings.Contains(strings.Split(imp, "/")[0], ".") {
			bad = append(bad, foreign(f, imp)...)
		}
	}
	return bad
}

// sideways checks an import of one of our own packages.
func sideways(f file, imp string) []string {
	mine, theirs := half(f.pkg()), half(imp)
	switch {
	case theirs < 0:
		return []string{fmt.Sprintf("%s: imports %s, which has no layer: give it one in docs/architecture.md and deps_test.go", f.path, imp)}
	case theirs < mine:
		return nil
	case strings.HasSuffix(f.path, "_test.go") && (imp == f.pkg() || isFarEnd(imp)):
		return nil
	case mine == 10 && strings.HasPrefix(imp, strings.Split(f.pkg(), "/")[0]+"/"):
		return nil // A program may be made of several packages.
	}
	return []string{fmt.Sprintf("%s: imports %s, which is not below %s: %s", f.path, imp, f.pkg(), why[mine/2])}
}

// foreign checks an import from outside.
func foreign(f file, imp string) []string {
	i := slices.IndexFunc(libraries, func(l library) bool {
		return imp == l.module || strings.HasPrefix(imp, l.module+"/")
	})
	if i < 0 {
		return []string{fmt.Sprintf("%s: imports %s, which has no owner: a new dependency is a decision, see docs/STYLE.md", f.path, imp)}
	}
	lib := libraries[i]
	if lib.tests && f.test() || slices.ContainsFunc(lib.owners, func(o string) bool { return within(o, f.pkg()) }) {
		return nil
	}
	return []string{fmt.Sprintf("%s: imports %s, which only %s may: %s", f.path, imp, lib.who(), lib.why)}
}

// who names the owners of l.
func (l library) who() string {
	who := slices.Clone(l.owners)
	if l.tests {
		who = append(who, "tests")
	}
	return strings.Join(who, ", ")
}

// sources parses the imports of every Go file of the module, whatever its build
// constraints.
func sources(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(p, d.Name()):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(p) != ".go":
			return nil
		}
		src, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		f := file{path: filepath.ToSlash(rel)}
		for _, imp := range src.Imports {
			name, _ := strconv.Unquote(imp.Path.Value) // The parser has checked it.
			f.imports = append(f.imports, name)
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// skipped reports whether the go command would not look into a directory: it is
// hidden, test data, or another module.
func skipped(p, name string) bool {
	if p == root {
		return false
	}
	_, err := os.Stat(filepath.Join(p, "go.mod"))
	return err == nil || name == "testdata" || name[0] == '.' || name[0] == '_'
}

func TestImportsGoDown(t *testing.T) {
	files := sources(t)
	if len(files) < 10 {
		t.Fatalf("found %d Go files from %s, want the whole module", len(files), root)
	}
	for _, f := range files {
		for _, v := range violations(f) {
			t.Error(v)
		}
	}
}

// The rule must report what it is there for, and nothing else.
func TestBadImportsAreReported(t *testing.T) {
	tests := []struct {
		file, imp string
		want      string // "" is fine
	}{
		{"bridge/serial/serial.go", "edge/bridge/gpio", "not below"},
		{"bridge/serial/serial_test.go", "edge/bridge/gpio", "not below"},
		{"bridge/serial/serial.go", "edge/broker", "not below"},
		{"bridge/serial/serial.go", "edge/internal/web", "not below"},
		{"bridge/bridge.go", "edge/bridge/gpio", "not below"},
		{"internal/topic/topic.go", "edge/internal/config", "not below"},
		{"broker/gate/gate.go", "edge/broker", "not below"},
		{"broker/journal/journal.go", "edge/broker/journal/journaltest", "not below"},
		{"internal/uart/uart.go", "edge/internal/sim", "not below"},
		{"broker/login/login.go", "edge/broker/access", "not below"},
		{"bench/bench.go", "edge/cmd/edge", "not below"},
		{"bridge/serial/serial.go", "edge/internal/common", "no layer"},
		{"internal/common/common.go", "fmt", "no layer"},
		{"bridge/serial/serial.go", "github.com/tarm/serial", "only internal/uart may"},
		{"bridge/serial/serial_test.go", "github.com/tarm/serial", "only internal/uart may"},
		{"broker/delivery/route.go", "github.com/mochi-mqtt/server/v2/packets", "only broker, broker/gate, bench/... may"},
		{"internal/sim/stick.go", "pgregory.net/rapid", "only tests may"},
		{"bridge/tick/tick.go", "github.com/google/uuid", "no owner"},
		{"broker/broker.go", "github.com/eclipse/paho.golang/paho", "only bridge/upstream, cmd/edge, tests may"},

		{"bridge/serial/serial.go", "edge/bridge", ""},
		{"bridge/serial/serial.go", "edge/internal/uart", ""},
		{"bridge/serial/serial_test.go", "edge/bridge/bridgetest", ""},
		{"bridge/supervise_test.go", "edge/bridge/bridgetest", ""},
		{"internal/uart/uart_test.go", "edge/internal/sim", ""},
		{"internal/gpiochip/chip_test.go", "edge/internal/gpiochip/gpiochiptest", ""},
		{"internal/gpiochip/gpiochiptest/suite.go", "edge/internal/gpiochip", ""},
		{"internal/sim/chip_test.go", "edge/internal/gpiochip/gpiochiptest", ""},
		{"broker/journal/journaltest/suite.go", "edge/broker/journal", ""},
		{"broker/journal/journaltest/suite.go", "pgregory.net/rapid", ""},
		{"broker/interop/paho_test.go", "github.com/eclipse/paho.mqtt.golang", ""},
		{"bench/stockmochi/main.go", "github.com/mochi-mqtt/server/v2/listeners", ""},
		{"bench/main.go", "edge/bench/load", ""},
		{"cmd/edge/node.go", "edge/broker", ""},
		{"cmd/edge/node.go", "golang.org/x/sync/errgroup", ""},
		{"cmd/edge/node.go", "net/http", ""},
	}
	for _, tt := range tests {
		got := strings.Join(violations(file{tt.file, []string{tt.imp}}), "\n")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s imports %s: got %q, want %q", tt.file, tt.imp, got, cmp.Or(tt.want, "no complaint"))
		}
	}
}

var (
	layerRow   = regexp.MustCompile(`(?m)^\| ([0-5]) \|(.*)\|$`)
	libraryRow = regexp.MustCompile("(?m)^\\| `([a-z.]+/[^`]+)` \\|([^|]*)\\|")
	quoted     = regexp.MustCompile("`([^`]+)`")
)

// A reader of the page and the test must not be told different things.
func TestArchitecturePageHasTheSameTables(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string][]string{}, map[string][]string{}
	for n, pkgs := range layers {
		want["layer "+strconv.Itoa(n)] = slices.Sorted(slices.Values(pkgs))
	}
	for _, lib := range libraries {
		want[lib.module] = slices.Sorted(slices.Values(lib.owners))
	}
	for _, m := range layerRow.FindAllStringSubmatch(string(page), -1) {
		got["layer "+m[1]] = names(m[2])
	}
	for _, m := range libraryRow.FindAllStringSubmatch(string(page), -1) {
		got[m[1]] = names(m[2])
	}
	keys := slices.Concat(slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)))
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		if !slices.Equal(got[k], want[k]) {
			t.Errorf("%s: docs/architecture.md says %v, deps_test.go says %v", k, got[k], want[k])
		}
	}
}

// names returns what is between back quotes in s, sorted.
func names(s string) []string {
	var names []string
	for _, m := range quoted.FindAllStringSubmatch(s, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return names
}
