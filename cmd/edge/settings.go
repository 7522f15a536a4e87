package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"edge/bridge"
	"edge/broker"
	"edge/broker/access"
	"edge/internal/config"
	"edge/internal/guard"
	"edge/internal/metrics"
)

// settings is the whole configuration as the files have it.
type settings struct {
	Prefix   string         `yaml:"prefix" doc:"First level of all topics of the hub."`
	Node     string         `yaml:"node" doc:"Second level of all topics of the hub: this machine; the first part of its host name if absent."`
	Data     string         `yaml:"data" doc:"Directory in which the hub keeps what it keeps; see edge help config for the default."`
	User     string         `yaml:"user" doc:"User that the hub becomes, with its groups, if root starts it."`
	LowPorts bool           `yaml:"low_ports" doc:"Keeps the right to open ports below 1024 after the start, for reloads that need it."`
	LogLevel logLevel       `yaml:"log_level" doc:"Least important kind of message that is logged: debug, info, warn or error."`
	Broker   broker.Config  `yaml:"broker" doc:"The MQTT broker."`
	Access   access.Config  `yaml:"access" doc:"Who may publish, subscribe to and receive what."`
	Metrics  metrics.Config `yaml:"metrics" doc:"Counts of the hub for Prometheus."`
	Guard    guard.Config   `yaml:"guard" doc:"What makes outputs safe when the hub dies or hangs."`

	Bridges map[string]map[string]config.Section `yaml:"bridges" doc:"What is bridged into the broker: under the name of each bridge its kind, and under that its settings."`
}

type logLevel string

// Values implements the enum of package config.
func (logLevel) Values() []string { return []string{"debug", "info", "warn", "error"} }

func defaultSettings() settings {
	s := settings{Prefix: "edge", Node: hostNode(), LogLevel: "info", Broker: broker.DefaultConfig(), Guard: guard.DefaultConfig()}
	s.Broker.Version = buildInfo().Version
	return s
}

var notInNode = regexp.MustCompile(`[^a-z0-9_-]+`)

// hostNode makes a level of topics of the host name.
func hostNode() string {
	host, err := os.Hostname()
	if err != nil {
		return "node"
	}
	first, _, _ := strings.Cut(strings.ToLower(host), ".")
	if node := strings.Trim(notInNode.ReplaceAllString(first, "-"), "-"); node != "" {
		return node
	}
	return "node"
}

var (
	validLevel  = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	validBridge = regexp.MustCompile(`^[a-z0-9_-]+$`)
)

// Validate reports everything that is wrong with s, but for the insides of
// bridges.
func (s settings) Validate() error {
	errs := []error{
		checkLevel("prefix", s.Prefix),
		checkLevel("node", s.Node),
		config.In("broker", s.Broker.Validate()),
		config.In("access", s.Access.Validate()),
		config.In("metrics", s.Metrics.Validate()),
		config.In("guard", s.Guard.Validate()),
	}
	for _, name := range slices.Sorted(maps.Keys(s.Bridges)) {
		at := "bridges." + name
		switch {
		case !validBridge.MatchString(name):
			errs = append(errs, config.Errorf(at, "a bridge's name may have a-z, 0-9, _ and - only"))
		case name == "status":
			errs = append(errs, config.Errorf(at, "status is the name of a topic of the hub itself"))
		}
		if n := len(s.Bridges[name]); n != 1 {
			errs = append(errs, config.Errorf(at, "has %d kinds; give it one: %s", n, kindNames()))
		}
	}
	return errors.Join(errs...)
}

func checkLevel(path, level string) error {
	if validLevel.MatchString(level) {
		return nil
	}
	return config.Errorf(path, "%q may have letters, digits, _, . and - only, as one level of topics", level)
}

// A plan is a configuration that was understood and is valid.
type plan struct {
	settings
	file    string // empty if there is none
	tree    *config.Tree
	bridges map[string]planned
}

// A planned bridge is what one entry of bridges asks for.
type planned struct {
	kind   *kind
	config any
}

// reads returns filters of what the bridge listens to beyond its own topics.
func (p planned) reads() []string {
	if r, ok := p.config.(interface{ Reads() []string }); ok {
		return r.Reads()
	}
	return nil
}

func (p planned) equal(other planned) bool {
	return p.kind == other.kind && reflect.DeepEqual(p.config, other.config)
}

// base returns the topic under which a bridge speaks.
func (p *plan) base(name string) bridge.Base {
	return bridge.Base(p.root() + "/" + name)
}

func (p *plan) root() string { return p.Prefix + "/" + p.Node }

// A configError is all that is wrong with a configuration, with places.
type configError struct{ config.Errors }

func (e configError) Unwrap() error { return e.Errors }

// readPlan reads file, lets override have the last word, and checks
// everything. An empty file name stands for no file at all. The plan is never
// nil, but is as incomplete as the configuration is wrong.
func readPlan(file string, override func(*settings)) (*plan, error) {
	if file == "" {
		return newPlan("", new(config.Tree), nil, override)
	}
	tree, err := config.Load(file)
	return newPlan(file, tree, err, override)
}

// newPlan makes a plan of a tree, whose own mistakes are in err.
func newPlan(file string, tree *config.Tree, err error, override func(*settings)) (*plan, error) {
	p := &plan{settings: defaultSettings(), file: file, tree: tree, bridges: map[string]planned{}}
	errs := []error{err, tree.Decode(&p.settings)}
	if override != nil {
		override(&p.settings)
	}
	if p.Data == "" {
		p.Data = defaultDataDir()
	}
	if p.Guard.Socket == "" {
		p.Guard.Socket = filepath.Join(p.Data, guardName)
	}
	p.Broker.Dir, p.Broker.TLSDir = filepath.Join(p.Data, "journal"), filepath.Join(p.Data, "tls")
	p.Broker.Root = p.root()
	p.Broker.Access = p.Access
	p.Broker.Where = func(path string) string { return tree.Where("access." + path) }
	errs = append(errs, p.Validate(), p.planBridges(), p.conflicts())
	err = p.tree.Locate(errors.Join(errs...))
	if err == nil {
		return p, nil
	}
	if located, ok := errors.AsType[config.Errors](err); ok {
		err = configError{located}
	}
	return p, coded(exitConfig, err)
}

func (p *plan) planBridges() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.Bridges)) {
		for _, word := range slices.Sorted(maps.Keys(p.Bridges[name])) {
			k := kindByName(word)
			if k == nil {
				errs = append(errs, config.Errorf("bridges."+name+"."+word, "there is no such kind of bridge; give one of %s", kindNames()))
				continue
			}
			cfg, err := k.decode(p.Bridges[name][word])
			errs = append(errs, err)
			p.bridges[name] = planned{k, cfg}
		}
	}
	return errors.Join(errs...)
}

// conflicts reports what two bridges cannot have both.
func (p *plan) conflicts() error {
	var errs []error
	names := slices.Sorted(maps.Keys(p.bridges))
	for i, second := range names {
		for _, first := range names[:i] {
			a, b := p.bridges[first], p.bridges[second]
			for _, path := range shared(a, b) {
				at := "bridges." + second + "." + b.kind.name + "." + path
				errs = append(errs, config.Errorf(at, "bridge %s has it already", first))
			}
		}
	}
	return errors.Join(errs...)
}

// findConfig returns the configuration that is used if none is named, or
// nothing.
func findConfig() string {
	if file := os.Getenv("EDGE_CONFIG"); file != "" {
		return file
	}
	home := os.Getenv("XDG_CONFIG_HOME")
	if dir, err := os.UserHomeDir(); home == "" && err == nil {
		home = filepath.Join(dir, ".config")
	}
	for _, file := range []string{filepath.Join(home, "edge", "edge.yaml"), "/etc/edge/edge.yaml"} {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return ""
}

// namedOrFound is findConfig unless file is given.
func namedOrFound(file string) (string, error) {
	if file == "" {
		file = findConfig()
	}
	if file == "" {
		return "", usageError{fmt.Errorf("no configuration; name one with -c (edge help config says where it is looked for)")}
	}
	return file, nil
}
