package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"edge/bridge"
	"edge/broker"
	"edge/internal/config"
)

// reloadVerb asks the hub to read its configuration again.
const reloadVerb = "reload"

// reload reads the configuration again and applies it. Only what changed is
// restarted; a configuration with errors changes nothing.
func (n *node) reload(by author) reply {
	n.notify.reloading()
	changed, err := n.apply()
	n.settle()
	n.notify.ready(n.summary())
	if err != nil || len(changed) > 0 {
		n.audit.note(by, change{What: "configuration applied", Detail: strings.Join(changed, ", ")}, err)
	}
	if err != nil {
		return n.notApplied(n.rights.whose(err))
	}
	n.log.Info("configuration applied", "changed", changed)
	return reply{OK: true, Changed: changed}
}

// notApplied logs each mistake as an event of its own and tells who asked.
func (n *node) notApplied(err error) reply {
	errs, ok := errors.AsType[configError](err)
	if !ok {
		n.log.Error("reload changed nothing", "err", err)
		return reply{Error: err.Error()}
	}
	for _, e := range errs.Errors {
		n.log.Error("reload changed nothing: the configuration has errors", "err", e)
	}
	return reply{Error: errs.Text(false), Config: true}
}

func (n *node) apply() ([]string, error) {
	if n.read == nil {
		return nil, errors.New("this hub runs without a configuration file; there is nothing to reload")
	}
	next, err := n.read()
	if err != nil {
		return nil, err
	}
	if err := n.fixed(next); err != nil {
		return nil, err
	}
	changed, err := n.replaceServers(next)
	if err != nil {
		return nil, err
	}
	if n.plan.LogLevel != next.LogLevel {
		setLevel(n.level, next.LogLevel)
		changed = append(changed, "log_level")
	}
	return append(changed, n.replaceBridges(next)...), nil
}

// replaceServers changes where clients and scrapers connect: both as next has it,
// or neither.
func (n *node) replaceServers(next *plan) (changed []string, err error) {
	scraped := n.metrics
	if n.plan.Metrics != next.Metrics {
		if scraped, err = n.openMetrics(next.Metrics); err != nil {
			return nil, err
		}
		changed = append(changed, "metrics")
	}
	// Files that it names may have changed although it says the same.
	if err := n.server.Reload(next.Broker); err != nil {
		if scraped != n.metrics {
			scraped.Close()
		}
		return nil, err
	}
	if !sameBroker(n.plan.Broker, next.Broker) {
		changed = append(changed, "broker")
	}
	if scraped != n.metrics {
		n.metrics.Close()
		n.metrics = scraped
	}
	return changed, nil
}

// sameBroker reports whether two configurations of the broker say the same,
// wherever they stand.
func sameBroker(a, b broker.Config) bool {
	a.Where, b.Where, a.Logins, b.Logins, a.Admin, b.Admin = nil, nil, nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// fixed reports what next changes and a running node cannot.
func (n *node) fixed(next *plan) error {
	var errs []error
	for _, v := range []struct{ key, now, next string }{
		{"prefix", n.plan.Prefix, next.Prefix},
		{"node", n.plan.Node, next.Node},
		{"data", n.plan.Data, next.Data},
		{"user", n.plan.User, next.User},
		{"guard", fmt.Sprint(n.plan.Guard), fmt.Sprint(next.Guard)},
		{"low_ports", strconv.FormatBool(n.plan.LowPorts), strconv.FormatBool(next.LowPorts)},
	} {
		if v.now != v.next {
			errs = append(errs, config.Errorf(v.key, "cannot change from %q to %q while the hub runs; restart it", v.now, v.next))
		}
	}
	if located, ok := errors.AsType[config.Errors](next.tree.Locate(errors.Join(errs...))); ok {
		return configError{located}
	}
	return nil
}

// replaceBridges stops what next does not have as it is and starts what it has
// anew. A line or a port may move from one bridge to another, so everything
// stops before anything starts.
func (n *node) replaceBridges(next *plan) (changed []string) {
	var old, gone []string
	for name, r := range n.bridges {
		p, stays := next.bridges[name]
		switch {
		case !stays:
			gone = append(gone, name)
		case !p.equal(r.planned):
			old = append(old, name)
		}
	}
	n.stop(slices.Concat(old, gone))
	for _, name := range gone {
		n.forget(next.base(name))
		changed = append(changed, "bridge "+name+" removed")
	}
	n.plan = next
	for _, name := range slices.Sorted(maps.Keys(next.bridges)) {
		if n.bridges[name] != nil {
			continue
		}
		n.start(name)
		what := " added"
		if slices.Contains(old, name) {
			what = " restarted"
		}
		changed = append(changed, "bridge "+name+what)
	}
	return changed
}

// forget removes what a bridge left retained, so that nobody goes on believing
// in a device that is no longer configured.
func (n *node) forget(base bridge.Base) {
	ctx, cancel := context.WithTimeout(context.Background(), publishTime)
	defer cancel()
	// To announce a device without entities empties those of the one before.
	err := bridge.Announce(ctx, n.client, bridge.Device{Base: base})
	for _, topic := range []string{base.Status(), base.Meta()} {
		err = errors.Join(err, n.client.Publish(ctx, bridge.Message{Topic: topic, QoS: 1, Retain: true}))
	}
	if err != nil {
		n.log.Warn("retained messages of a removed bridge may be left", "base", base, "err", err)
	}
}

func setLevel(v *slog.LevelVar, l logLevel) {
	var level slog.Level
	if level.UnmarshalText([]byte(l)) == nil { // every logLevel is a name that slog knows
		v.Set(level)
	}
}
