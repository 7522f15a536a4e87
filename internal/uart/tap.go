package uart

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Tap offers the port of a Bus to clients on the network while it is open.
type Tap struct {
	cfg   TapConfig
	line  Config
	bus   *Bus
	log   *slog.Logger
	allow []netip.Prefix
	pump  bool // nobody reads the port while a client has the bus
	begin time.Time

	writer atomic.Pointer[tapClient] // who writes at this moment
	stirs  atomic.Int64              // when a byte came or went, in ns since begin

	mu      sync.Mutex
	clients []*tapClient

	counts [tapCounts]atomic.Uint64
}

const (
	// maxTapClients is how many may be connected at once.
	maxTapClients = 8

	// maxTapQueue is how many bytes a client may be behind: at 115200 baud, six
	// seconds.
	maxTapQueue = 1 << 16

	// tokenTime is how long a client may take to say its token, and
	// tokenPause what a wrong one costs him.
	tokenTime  = 10 * time.Second
	tokenPause = time.Second

	// takeTime is how long the line may take to accept what a client writes.
	takeTime = 5 * time.Second
)

// What a tap counts.
const (
	tapDenied  = iota // connections from networks that are not allowed, and wrong tokens
	tapFull           // connections beyond the limit
	tapSlow           // clients that read too slowly
	tapIgnored        // bytes of clients that may not write
	tapUntaken        // times that the line did not take what a client wrote
	tapCounts
)

// NewTap returns a tap of a port that was opened with line. cfg must be valid.
// While a client has the bus somebody must read the port, or the client would
// get no answer: listens says that the owner always does, else the tap will.
func NewTap(cfg TapConfig, line Config, bus *Bus, listens bool, log *slog.Logger) *Tap {
	return &Tap{
		cfg: cfg, line: line.withDefaults(), bus: bus, pump: !listens,
		log: log, allow: cfg.allowed(), begin: time.Now(),
	}
}

// Counters returns what the tap has counted, by name.
func (t *Tap) Counters() map[string]uint64 {
	t.mu.Lock()
	n := len(t.clients)
	t.mu.Unlock()
	return map[string]uint64{
		"tap_clients": uint64(n),
		"tap_denied":  t.counts[tapDenied].Load(),
		"tap_full":    t.counts[tapFull].Load(),
		"tap_slow":    t.counts[tapSlow].Load(),
		"tap_ignored": t.counts[tapIgnored].Load(),
		"tap_untaken": t.counts[tapUntaken].Load(),
	}
}

// Serve listens until ctx ends, and closes every connection then. An error means
// that it cannot listen.
func (t *Tap) Serve(ctx context.Context) error {
	listen := net.ListenConfig{KeepAliveConfig: probes(deadAfter)}
	l, err := listen.Listen(ctx, "tcp", t.cfg.Listen)
	if err != nil {
		return fmt.Errorf("tap: %w", err)
	}
	t.log.Info("tap: listening", "address", l.Addr().String(), "port", t.bus.port.Name())
	return t.serve(ctx, l)
}

func (t *Tap) serve(ctx context.Context, l net.Listener) error {
	t.bus.port.watch(t.see)
	defer t.bus.port.watch(nil)
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { l.Close() })()
	g.Go(func() error {
		defer l.Close()
		for {
			c, err := l.Accept()
			switch {
			case ctx.Err() != nil:
				if err == nil {
					c.Close()
				}
				return nil
			case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
				rest(ctx, tokenPause)
			case err != nil:
				return fmt.Errorf("tap: %w", err)
			default:
				t.accept(ctx, g, c)
			}
		}
	})
	return g.Wait()
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// accept serves c unless it may not connect.
func (t *Tap) accept(ctx context.Context, g *errgroup.Group, c net.Conn) {
	peer, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	from := peer.Addr().Unmap().WithZone("")
	if !slices.ContainsFunc(t.allow, func(p netip.Prefix) bool { return p.Contains(from) }) {
		t.refuse(c, tapDenied)
		return
	}
	client := newTapClient(t, c)
	if !t.join(client) {
		t.refuse(c, tapFull)
		return
	}
	g.Go(func() error {
		defer t.part(client)
		client.run(ctx)
		return nil
	})
}

// refuse closes a connection. It is told at level debug: a stranger must not be
// able to fill the log.
func (t *Tap) refuse(c net.Conn, why int) {
	t.counts[why].Add(1)
	t.log.Debug("tap: connection refused", "peer", c.RemoteAddr().String(), "full", why == tapFull)
	c.Close()
}

func (t *Tap) join(c *tapClient) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.clients) >= maxTapClients {
		return false
	}
	t.clients = append(t.clients, c)
	return true
}

func (t *Tap) part(c *tapClient) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.clients, c); i >= 0 {
		t.clients = slices.Delete(t.clients, i, i+1)
	}
}

// see is called for what is read from the line and written to it. It never
// waits.
func (t *Tap) see(out bool, b []byte) {
	t.stir()
	writer := t.writer.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.clients {
		if !out || c != writer && (t.cfg.Both || t.cfg.Protocol == TapCapture) {
			c.show(out, b)
		}
	}
}
