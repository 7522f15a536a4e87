// Package broker is the MQTT server of edge: listeners, the mochi server that
// handles connecting and subscribing, the hooks that tell delivery about both,
// and the clients within the process. Messages do not pass through it: gate and
// delivery carry them.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"edge/bridge"
	"edge/broker/access"
	"edge/broker/delivery"
	"edge/broker/gate"
	"edge/broker/journal"
)

// A Broker is a running MQTT server.
type Broker struct {
	engine *delivery.Engine
	server *mqtt.Server
	limits gate.Limits
	log    *slog.Logger
	self   *client // publishes what the broker itself has to say
	sys    *sys
	gone   gone
	guard  *guard
	admin  Admin // nil: there is none
	memory *memory

	opened time.Time

	anonymous      atomic.Bool
	maxConnections int

	disk  *journal.Disk // nil if nothing is kept
	aside []string      // files of a journal that could not be read
	ready chan struct{} // closed when self can publish

	mu         sync.Mutex
	cfg        Config
	listeners  []*listener
	conns      map[*socket]struct{}
	bridges    map[string]*client // by name
	visitors   visitors
	users      map[string]int // connections of each
	strangers  int            // connections of whom nobody knows yet who they are
	turned     TurnedAway
	toldTurned time.Time // when the log had the last of them
	closed     bool
	hadUsers   bool           // when listeners were opened
	running    sync.WaitGroup // connections and local subscriptions
	done       chan struct{}  // closed by Close: local subscriptions end
}

// Open starts a broker. When it returns, all listeners accept connections.
// prefix is the first level of the topics of bridges (`edge`): a retained or
// expired command under it is refused.
func Open(cfg Config, prefix string, log *slog.Logger) (*Broker, error) {
	b := &Broker{
		cfg: cfg, log: restrained(log), admin: cfg.Admin, opened: time.Now(), maxConnections: cfg.Limits.Connections,
		conns: make(map[*socket]struct{}), bridges: make(map[string]*client),
		visitors: newVisitors(cfg.Limits), users: make(map[string]int), ready: make(chan struct{}), done: make(chan struct{}),
	}
	b.anonymous.Store(cfg.AllowAnonymous)
	b.limits = cfg.Limits.gate()
	b.limits.ResponseText = cfg.ResponseInformation
	b.memory = newMemory(b, cfg.Limits.Memory)
	b.limits.NoMemory = &b.memory.full
	opts := cfg.Limits.delivery()
	b.memory.bound(&opts)
	opts.Each = cfg.Overlapping == Each
	opts.Command = func(t string) bool { return isCommand(prefix, t) }
	opts.Refused = b.refused
	opts.Denied = func(owner, client, topic string) {
		b.guard.denials.note(identity{owner, client}, access.Publish, topic)
	}
	opts.Overrun = overrun
	opts.Durability = cfg.durability // Of this copy: b.cfg changes when it is read anew.
	var err error
	if b.guard, err = newGuard(b, &cfg); err != nil {
		return nil, err
	}
	opts.Access = b.guard.access
	if err := b.openStore(opts); err != nil {
		return nil, err
	}
	b.self = b.client("broker", delivery.Hub)
	b.gone.self = b.self
	b.tellAside()
	close(b.ready)
	b.engine.Continue()
	b.sys = newSys(b, cfg)
	b.sys.tick() // Who connects first finds it.
	if err := b.serve(); err != nil {
		close(b.done)
		return nil, errors.Join(err, b.closeStore(context.Background()))
	}
	b.running.Go(b.sys.run)
	b.running.Go(b.renew)
	b.running.Go(b.memory.run)
	return b, nil
}

// serve starts mochi and opens the listeners.
func (b *Broker) serve() error {
	var err error
	if b.server, err = newServer(b); err != nil {
		return err
	}
	b.hadUsers = b.guard.anyUsers()
	opened, err := b.open(b.cfg.Listeners)
	if err != nil {
		return err
	}
	b.listeners = opened
	return nil
}

// open opens all of ls, or none.
func (b *Broker) open(ls []Listener) ([]*listener, error) {
	var opened []*listener
	for _, cfg := range ls {
		l, err := b.listen(cfg)
		if err != nil {
			for _, l := range opened {
				l.stop()
			}
			return nil, err
		}
		if l != nil {
			opened = append(opened, l)
		}
	}
	for _, l := range opened {
		b.server.Listeners.Add(l)
		b.server.Listeners.Serve(l.ID(), nil)
	}
	return opened, nil
}

// URLs returns the addresses at which the broker listens, with the ports taken.
func (b *Broker) URLs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var urls []string
	for _, l := range b.listeners {
		urls = append(urls, l.Address())
	}
	return urls
}

// Reload applies cfg: only listeners that changed are closed or opened, and
// certificates are read anew. On an error nothing has changed. Limits and the
// response information hold for a broker's life; a change of them is an error.
func (b *Broker) Reload(cfg Config) error {
	err := b.reload(cfg)
	if err == nil {
		b.reauthorize()
	}
	return err
}

func (b *Broker) reload(cfg Config) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errors.New("reload the broker: it is closed")
	}
	if cfg.Limits != b.cfg.Limits || cfg.Overlapping != b.cfg.Overlapping || !slices.Equal(cfg.Durability, b.cfg.Durability) {
		return errors.New("reload the broker: limits, durability and overlapping hold until edge is restarted")
	}
	if cfg.ResponseInformation != b.cfg.ResponseInformation {
		return errors.New("reload the broker: its response_information holds until edge is restarted")
	}
	var kept, gone []*listener
	var added []Listener
	for _, l := range b.listeners {
		if slices.ContainsFunc(cfg.Listeners, l.stays) {
			kept = append(kept, l)
		} else {
			gone = append(gone, l)
		}
	}
	for _, c := range cfg.Listeners {
		if !slices.ContainsFunc(kept, func(l *listener) bool { return l.stays(c) }) {
			added = append(added, c)
		}
	}
	return b.replace(cfg, kept, gone, added)
}

func (b *Broker) replace(cfg Config, kept, gone []*listener, added []Listener) error {
	rules, err := compile(&cfg)
	if err != nil {
		return fmt.Errorf("reload the broker: %w", err)
	}
	var certs []func()
	for _, l := range kept {
		use, err := l.readCert()
		if err != nil {
			return fmt.Errorf("reload the broker: %w", err)
		}
		certs = append(certs, use)
	}
	opened, err := b.exchange(gone, added)
	if err != nil {
		return fmt.Errorf("reload the broker: %w", err)
	}
	for _, use := range certs {
		use()
	}
	for _, l := range kept {
		l.anonymous.Store(cfg.Listeners[slices.IndexFunc(cfg.Listeners, l.cfg.equal)].AllowAnonymous)
	}
	b.listeners = append(kept, opened...)
	if b.cfg.SysInterval != cfg.SysInterval {
		b.sys.reload(cfg.SysInterval)
	}
	b.cfg, b.hadUsers = cfg, b.guard.anyUsers()
	b.guard.use(rules)
	b.anonymous.Store(cfg.AllowAnonymous)
	return nil
}

// Close ends all connections, tells clients that the server goes down, and
// returns when nothing runs any more, or with the error of ctx.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	close(b.done)
	for _, l := range b.listeners {
		l.stop()
	}
	conns := slices.Collect(maps.Keys(b.conns))
	b.mu.Unlock()
	for _, s := range conns {
		s.end()
	}
	ended := make(chan struct{})
	go func() {
		b.running.Wait()
		close(ended)
	}()
	var late error
	select {
	case <-ended:
	case <-ctx.Done():
		late = fmt.Errorf("close the broker: connections did not end: %w", ctx.Err())
	}
	b.engine.Close()
	return errors.Join(late, b.closeStore(ctx))
}

// isCommand reports whether t is <prefix>/NODE/BRIDGE/ENTITY/set.
func isCommand(prefix, t string) bool {
	rest, ok := strings.CutPrefix(t, prefix+"/")
	if !ok {
		return false
	}
	place, ok := strings.CutSuffix(rest, "/set")
	return ok && strings.Count(place, "/") == 2
}

// refused says on the topic of results why a command was not executed.
func (b *Broker) refused(m *delivery.Message, why delivery.Refusal) {
	place := strings.TrimSuffix(m.Topic, "/set")
	i := strings.LastIndexByte(place, '/')
	r := bridge.Result{Status: bridge.StatusRefused, Reason: string(why)}
	if cmd, err := bridge.ParseCommand(m.Payload, bridge.LockKeys...); err == nil {
		r.ID = cmd.ID
	}
	b.log.Warn("command refused", "topic", m.Topic, "client", m.Origin, "reason", string(why))
	if err := bridge.PublishResult(context.Background(), b.self, bridge.Base(place[:i]), place[i+1:], r); err != nil {
		b.log.Error("publish the refusal of a command", "topic", m.Topic, "err", err)
	}
}

func (l Limits) gate() gate.Limits {
	return gate.Limits{
		ConnectTimeout: l.ConnectTimeout, PacketBefore: l.PacketBefore, Packet: l.Packet,
		TopicBytes: l.TopicBytes, TopicLevels: l.TopicLevels, ReceiveMaximum: l.ReceiveMaximum,
		MaxExpiry: l.expiry(), UserProperties: l.UserProperties, TopicAliases: l.TopicAliases,
		Idle: l.Idle, PacketRate: l.PacketRate, Counters: new(gate.Counters),
	}
}

func (l Limits) delivery() delivery.Options {
	return delivery.Options{
		QoS0Bytes: l.QoS0Bytes, QueueMessages: l.QueueMessages, QueueBytes: l.QueueBytes, UnkeptBytes: l.UnkeptBytes,
		DropOldest: l.QueueOverflow == DropOldest, Window: l.Window, ReceiveMaximum: l.ReceiveMaximum,
		Sessions: l.Sessions, Subscriptions: l.Subscriptions, RetainedBytes: l.RetainedBytes,
		OwnerSessions: l.SessionsPerUser, OwnerQueueBytes: int(l.QueueBytesPerUser),
		MaxExpiry: l.expiry(), TopicBytes: l.TopicBytes, TopicLevels: l.TopicLevels,
	}
}

func (l Limits) expiry() uint32 {
	return uint32(min(int64(l.SessionExpiry.Seconds()), math.MaxUint32-1))
}

func itoa(i int) string { return strconv.Itoa(i) }

// overrun ends the connection of a client that reads too slowly for what waits for
// it in memory.
func overrun(l delivery.Link) {
	if c, ok := l.(*gate.Conn); ok {
		c.End(gate.QuotaExceeded)
	}
}
