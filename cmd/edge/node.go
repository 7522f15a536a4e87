package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"edge/bridge"
	"edge/broker"
	"edge/broker/access"
	"edge/broker/journal"
	"edge/internal/metrics"
)

// A node is one running hub. Everything in it belongs to the goroutine of run.
type node struct {
	log    *slog.Logger
	level  *slog.LevelVar
	notify notifier

	open  func(broker.Config, string, *slog.Logger) (server, error)
	read  func() (*plan, error)             // the configuration as it is now, for a reload
	adapt func(bridge.Bridge) bridge.Bridge // puts simulated hardware under a bridge; may be nil
	ready func(urls []string)               // told when connections are accepted; may be nil

	rights   *privileges // to give up; nil keeps all
	ownGuard bool        // start a guard, if none listens

	plan     *plan
	logins   *logins
	server   server
	client   bridge.Client
	metrics  *metrics.Server
	bridges  map[string]*running
	asked    chan request
	audit    auditLog
	recorder *recorder // of what outputs become
	admin    *administrator
	board    statusBoard
}

// A server is what a node needs of the broker.
type server interface {
	URLs() []string
	Client(name string) bridge.Client
	Bridge(name string, reads ...string) bridge.Client
	Stats() broker.Stats
	Snapshot() (*journal.Snapshot, error)
	Reload(broker.Config) error
	UsersChanged()
	HoldsLowPort() bool
	Denials() []broker.Denial
	Clients() []broker.ConnectedClient
	Kick(client string) error
	Explain(user, client string, a access.Action, topic string) broker.Explanation
	CheckRoles(roles []string) error
	Pairing(open bool)
	Close(context.Context) error
}

func openBroker(cfg broker.Config, prefix string, log *slog.Logger) (server, error) {
	return broker.Open(cfg, prefix, log)
}

// A running bridge is supervised until stop is called; then done is closed.
type running struct {
	planned
	stop context.CancelFunc
	done chan struct{}
}

// A request came through the control socket, or by MQTT, and waits for its answer.
type request struct {
	verb   string
	by     author
	answer chan<- reply
}

const (
	// stopTime bounds how long bridges may take to let go, within the 2 s in
	// which a node must have stopped.
	stopTime  = 1200 * time.Millisecond
	closeTime = 500 * time.Millisecond

	// tidyTime is when all bridges that are there have announced themselves.
	tidyTime = 2 * time.Second

	// publishTime bounds a publication of the node itself.
	publishTime = 5 * time.Second
)

// run is the life of a node. What starts last stops first: bridges, which
// leave their outputs safe and say offline; the status of the node; the
// broker; the lock of the data directory.
func (n *node) run(ctx context.Context, p *plan) error {
	data, err := openDataDir(p.Data)
	if err != nil {
		return err
	}
	defer data.Close()
	keeper := n.keepGuard(p)
	defer keeper.close()
	if err := n.shed(p); err != nil {
		return err
	}
	who, err := openLogins(p.Data, n.log)
	if err != nil {
		return err
	}
	defer who.close()
	warnShut(n.log, p.Broker, who.Any())
	n.logins, n.asked, n.audit = who, make(chan request), auditLog{p.Data, n.log}
	n.admin = newAdministrator(who, n.audit, n.ask)
	defer n.admin.close()
	p.Broker.Logins, p.Broker.Admin = who, n.admin
	n.server, err = n.open(p.Broker, p.Prefix, n.log)
	if err != nil {
		return n.rights.whose(fmt.Errorf("start broker: %w", err))
	}
	defer n.closeServer()
	if n.metrics, err = n.openMetrics(p.Metrics); err != nil {
		return err
	}
	defer func() { n.metrics.Close() }() // A reload may have put another in its place.
	n.admin.begin(n.server)
	defer n.openGuard(p, keeper)()
	n.plan, n.bridges = p, map[string]*running{}
	n.client = n.server.Client("edge")
	if err := n.publishStatus("online"); err != nil {
		return err
	}
	defer n.goOffline()
	stopRecording, err := n.record()
	if err != nil {
		return err
	}
	defer stopRecording()
	for _, name := range slices.Sorted(maps.Keys(p.bridges)) {
		n.start(name)
	}
	defer n.stopAll()
	control, err := openControl(data.path, n.admin.answer)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	control.backup = backupSource{node: p.Node, file: p.file, snapshot: n.server.Snapshot}
	if err := n.watchBroker(inner); err != nil && ctx.Err() == nil {
		return err
	}
	helpers.Go(func() { control.serve(inner) })
	helpers.Go(func() { n.notify.watchdog(inner, n.alive) })
	n.settle()
	return n.serve(inner)
}

// serve answers who asks for something until ctx ends.
func (n *node) serve(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	n.log.Info("ready", "urls", n.server.URLs())
	n.notify.ready(n.summary())
	if n.ready != nil {
		n.ready(n.server.URLs())
	}
	// What was needed to start is not needed to run; on a small board a megabyte
	// matters, and without traffic the collector would not come for minutes.
	tidy := time.AfterFunc(tidyTime, debug.FreeOSMemory)
	defer tidy.Stop()
	for {
		select {
		case <-ctx.Done():
			n.log.Info("stopping", "why", context.Cause(ctx))
			n.notify.stopping()
			return nil
		case <-hup:
			n.reload(author{Who: "signal", From: "SIGHUP"})
		case r := <-n.asked:
			r.answer <- n.obey(r)
		}
	}
}

// ask has the goroutine of run obey.
func (n *node) ask(ctx context.Context, by author, verb string) reply {
	answer := make(chan reply, 1)
	select {
	case n.asked <- request{verb, by, answer}:
		return <-answer
	case <-ctx.Done():
		return reply{Error: "the hub is stopping"}
	}
}

func (n *node) obey(r request) reply {
	switch r.verb {
	case reloadVerb:
		return n.reload(r.by)
	case usersVerb:
		return n.reloadUsers(r.by)
	case denialsVerb:
		return n.denials()
	case outputsVerb:
		n.recorder.flush()
		return reply{OK: true}
	}
	return reply{Error: fmt.Sprintf("unknown request %q", r.verb)}
}

func (n *node) summary() string {
	return fmt.Sprintf("%d bridges, listening at %v", len(n.bridges), n.server.URLs())
}

// start begins to supervise the bridge that the plan has under name.
func (n *node) start(name string) {
	p := n.plan.bridges[name]
	base, log := n.plan.base(name), n.log.With("bridge", name)
	b := p.kind.new(base, p.config, log)
	if n.adapt != nil {
		b = n.adapt(b)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{planned: p, stop: cancel, done: make(chan struct{})}
	n.bridges[name] = r
	client := n.server.Bridge(name, p.reads()...)
	go func() {
		defer close(r.done)
		bridge.Supervise(ctx, base, b, client, log)
	}()
}

// stop ends bridges, all at once, and waits until they have let go.
func (n *node) stop(names []string) {
	for _, name := range names {
		n.bridges[name].stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	for _, name := range names {
		if !n.bridges[name].ended(ctx) {
			n.log.Error("bridge does not stop; it is left behind", "bridge", name)
		}
		delete(n.bridges, name)
	}
}

// ended waits until the bridge has let go, or until ctx ends.
func (r *running) ended(ctx context.Context) bool {
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (n *node) stopAll() { n.stop(slices.Sorted(maps.Keys(n.bridges))) }

func (n *node) closeServer() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := n.server.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		n.log.Warn("broker did not close in order", "err", err)
	}
}

// alive proves that a message goes through the broker and comes back.
func (n *node) alive(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	back := make(chan struct{}, 1)
	topic := "$edge/" + n.plan.Node + "/alive"
	err := n.client.Subscribe(ctx, topic, func(bridge.Message) {
		select {
		case back <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	if err := n.client.Publish(ctx, bridge.Message{Topic: topic}); err != nil {
		return err
	}
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a message did not come back: %w", context.Cause(ctx))
	}
}
