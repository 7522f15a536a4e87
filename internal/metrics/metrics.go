// Package metrics serves numbers over HTTP in Prometheus' text format, to
// programs on the same machine only. It does not know what the numbers mean:
// they are collected anew for each scrape.
package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"edge/internal/config"
)

// Config is the `metrics:` section of the configuration.
type Config struct {
	Listen string `yaml:"listen" doc:"HOST:PORT of this machine alone, such as 127.0.0.1:9883, at which /metrics has the counts of the hub for Prometheus; empty is nowhere."`
}

// Validate reports an address that others can reach, or none.
func (c Config) Validate() error {
	if c.Listen == "" {
		return nil
	}
	_, err := c.address()
	return err
}

// address returns what to listen at.
func (c Config) address() (string, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", config.Errorf("listen", "%v; want something like 127.0.0.1:9883", err)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", config.Errorf("listen", "%q: port %s: must be 0 to 65535", c.Listen, port)
	}
	if !loopback(host) {
		return "", config.Errorf("listen", "%q is not a loopback address, and there are no users here: everybody could read it; want 127.0.0.1:%s, and a proxy in front of it for others", c.Listen, port)
	}
	if host == "localhost" {
		host = "127.0.0.1" // Whatever a resolver says.
	}
	return net.JoinHostPort(host, port), nil
}

// loopback reports whether host names this machine alone.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Samples are the numbers of one scrape. A name may have labels:
// edge_messages_total{qos="0"}. One that is not valid panics.
type Samples struct {
	set        *metrics.Set
	histograms *bytes.Buffer
}

// Counter adds a number that only grows.
func (s Samples) Counter(name string, v uint64) { s.set.GetOrCreateCounter(name).Set(v) }

// Gauge adds a number that comes and goes.
func (s Samples) Gauge(name string, v float64) { s.set.GetOrCreateGauge(name, nil).Set(v) }

// A Histogram counts values by their size, in the unit of its name.
type Histogram struct {
	Bounds []float64 // upper ones, rising
	Counts []uint64  // one for each bound, and one for what is larger than all
	Sum    float64
}

// Histogram adds h under a name without labels.
func (s Samples) Histogram(name string, h Histogram) {
	out := s.histograms
	fmt.Fprintf(out, "# HELP %s\n# TYPE %s histogram\n", name, name)
	var total uint64
	for i, n := range h.Counts {
		total += n
		bound := "+Inf"
		if i < len(h.Bounds) {
			bound = strconv.FormatFloat(h.Bounds[i], 'g', -1, 64)
		}
		fmt.Fprintf(out, "%s_bucket{le=%q} %d\n", name, bound, total)
	}
	fmt.Fprintf(out, "%s_sum %g\n%s_count %d\n", name, h.Sum, name, total)
}

// A Server answers scrapes.
type Server struct {
	collect func(Samples)
	http    http.Server
	l       net.Listener
	serving sync.WaitGroup

	mu sync.Mutex // one scrape at a time
}

const (
	// maxConnections is enough for some scrapers, and few of the files that the
	// process may have open.
	maxConnections = 16
	maxHeader      = 4 << 10                 // bytes
	readTime       = 4500 * time.Millisecond // who asks slowly is gone within 5 s
	writeTime      = 10 * time.Second
	idleTime       = 2 * time.Minute
)

// Open listens at the address of cfg and calls collect for each scrape. Without
// an address it serves nothing.
func Open(cfg Config, collect func(Samples), log *slog.Logger) (*Server, error) {
	s := &Server{collect: collect}
	if cfg.Listen == "" {
		return s, nil
	}
	address, err := cfg.address()
	if err != nil {
		return nil, err
	}
	if s.l, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("serve metrics at %s: %w; change metrics.listen, or stop who has the port", cfg.Listen, err)
	}
	s.http = http.Server{
		Handler: http.HandlerFunc(s.answer), MaxHeaderBytes: maxHeader,
		ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	metrics.ExposeMetadata(true)
	s.serving.Go(func() {
		if err := s.http.Serve(limit(s.l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are served no more; edge reload does not help, a restart does", "err", err)
		}
	})
	return s, nil
}

// URL returns where the metrics are, with the port that was taken; "" is
// nowhere.
func (s *Server) URL() string {
	if s.l == nil {
		return ""
	}
	return "http://" + s.l.Addr().String() + "/metrics"
}

// Close ends all connections and returns when nothing runs any more.
func (s *Server) Close() {
	if s.l != nil {
		_ = s.http.Close()
		s.serving.Wait()
	}
}

// answer answers one request. A page of a browser that has its own name resolved
// to 127.0.0.1 (DNS rebinding) is told from a scraper by the Host header.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case !loopback(hostOf(r.Host)):
		http.Error(w, "ask for localhost or 127.0.0.1", http.StatusForbidden)
	case r.URL.Path != "/metrics":
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
	default:
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(s.scrape()) // To tell a scraper that has gone is pointless.
	}
}

// hostOf returns a Host header without its port.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
}

func (s *Server) scrape() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out, process bytes.Buffer
	set := metrics.NewSet()
	var histograms bytes.Buffer
	s.collect(Samples{set, &histograms})
	set.WritePrometheus(&out)
	out.Write(histograms.Bytes())
	metrics.WriteProcessMetrics(&process)
	metrics.WriteFDMetrics(&process)
	for line := range bytes.Lines(process.Bytes()) {
		if useful(line) {
			out.Write(line)
		}
	}
	return out.Bytes()
}

// useful reports whether a line is of those metrics of the process that
// dashboards show; the library has many more.
func useful(line []byte) bool {
	name := string(line)
	for _, comment := range []string{"# HELP ", "# TYPE "} {
		name = strings.TrimPrefix(name, comment)
	}
	name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
	switch name {
	case "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds",
		"process_start_time_seconds", "go_goroutines":
		return true
	}
	return strings.HasPrefix(name, "go_memstats_")
}
