package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edge/broker"
	"edge/internal/metrics"
)

// scrape returns what is at url, or the error of the attempt.
func scrape(t *testing.T, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

// metricsURL returns where the log said last that metrics are.
func (n *testNode) metricsURL(t *testing.T) string {
	t.Helper()
	all := regexp.MustCompile(`msg=metrics url=(http://\S+)`).FindAllStringSubmatch(n.log.String(), -1)
	if len(all) == 0 {
		t.Fatalf("no URL of metrics in the log:\n%s", n.log.String())
	}
	return all[len(all)-1][1]
}

const dropped7 = "\nedge_messages_dropped_total{reason=\"slow\"} 7\n"

func (n *testNode) serves(t *testing.T, url string) {
	t.Helper()
	if body, err := scrape(t, url); err != nil || !strings.Contains(body, dropped7) {
		t.Errorf("scrape of %s: %.200q, %v; want the broker's counts", url, body, err)
	}
}

func TestReloadOfMetrics(t *testing.T) {
	n := startNode(t)
	on := twoTicks + "metrics: {listen: '127.0.0.1:0'}\n"
	n.write(t, on)
	if r := n.reload(t); !r.OK || !slices.Equal(r.Changed, []string{"metrics"}) {
		t.Fatalf("reload with metrics answers %+v", r)
	}
	url := n.metricsURL(t)
	n.serves(t, url)
	if r := n.reload(t); !r.OK || len(r.Changed) > 0 {
		t.Errorf("reload with the same metrics answers %+v, want no change", r)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	n.write(t, twoTicks+"metrics: {listen: '"+taken.Addr().String()+"'}\n")
	if r := n.reload(t); r.OK || !strings.Contains(r.Error, "serve metrics at "+taken.Addr().String()) {
		t.Errorf("reload with a port that is taken answers %+v, want which", r)
	}
	n.mu.Lock()
	n.refuse = io.ErrUnexpectedEOF
	n.mu.Unlock()
	n.write(t, twoTicks+"broker: {allow_anonymous: true}\nmetrics: {listen: '[::1]:0'}\n")
	if r := n.reload(t); r.OK {
		t.Errorf("reload that the broker refuses answers %+v", r)
	}
	n.serves(t, url)
	if refused := n.metricsURL(t); refused != url {
		if _, err := scrape(t, refused); err == nil {
			t.Errorf("metrics are served at %s by a reload that changed nothing", refused)
		}
	}

	n.mu.Lock()
	n.refuse = nil
	n.mu.Unlock()
	n.write(t, twoTicks)
	if r := n.reload(t); !r.OK || !slices.Equal(r.Changed, []string{"metrics"}) {
		t.Errorf("reload without metrics answers %+v", r)
	}
	if body, err := scrape(t, url); err == nil {
		t.Errorf("metrics are served after they were turned off: %.100q", body)
	}
}

// TestMetricsNeedTheirPort ends the start, as a listener that cannot listen does.
func TestMetricsNeedTheirPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	fake := new(fakeServer)
	log := slog.New(slog.DiscardHandler)
	n := &node{
		log: log, level: new(slog.LevelVar), notify: notifier{log},
		open: func(broker.Config, string, *slog.Logger) (server, error) { return fake, nil },
	}
	p, err := readPlan("", func(s *settings) { s.Data, s.Metrics.Listen = t.TempDir(), taken.Addr().String() })
	if err != nil {
		t.Fatal(err)
	}
	if err := n.run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "serve metrics at "+taken.Addr().String()) {
		t.Errorf("run returned %v, want which address is taken", err)
	}
	if !fake.closed {
		t.Error("the broker was not closed")
	}
}

// TestMetricsAreNamed has every number of a broker, under a name that says its
// unit and, for counters, that it is a total.
func TestMetricsAreNamed(t *testing.T) {
	n := &node{server: new(fakeServer)}
	s, err := metrics.Open(metrics.Config{Listen: "localhost:0"}, n.collect, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	body, err := scrape(t, s.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`edge_build_info{version="devel",commit="`, `edge_messages_received_total{qos="2"} 0`, `edge_messages_sent_total{qos="0"} 0`,
		`edge_denied_total{action="publish"} 0`, `edge_denied_total{action="subscribe"} 0`, `edge_denied_total{action="receive"} 5`,
		`edge_connections_refused_total{limit="rate"} 0`, `edge_connections_refused_total{limit="memory"} 0`,
		`edge_memory_refused_total{what="session"} 0`, "edge_memory_tight_total 0", "edge_memory_budget_bytes 0",
		"edge_memory_used_bytes 0", `edge_memory_state{state="ok"} 1`, `edge_memory_state{state="full"} 0`,
		`edge_messages_dropped_total{reason="refused"} 0`, `edge_connections_total{result="accepted"} 0`,
		`edge_connections_total{result="refused"} 0`, "edge_bytes_received_total 0", "edge_bytes_sent_total 0",
		"edge_clients_connected 0", "edge_sessions 0", "edge_subscriptions 0", "edge_retained_messages 0",
		"edge_retained_bytes 0", "edge_inflight_messages 0", "edge_queued_messages 0", "edge_queued_bytes 0",
		"edge_journal_appended_bytes_total 70", "edge_journal_moved_bytes_total 30", "edge_journal_written_bytes_total 8", "edge_journal_block_bytes_total 12",
		"edge_journal_refused_records_total 5", "edge_journal_damaged_records_total 4", "edge_journal_failures_total 3",
		"edge_journal_segments_cleaned_total 2", "edge_journal_bytes 9", "edge_journal_pending_bytes 6",
		`edge_journal_state{state="ok"} 0`, `edge_journal_state{state="full"} 1`, `edge_journal_state{state="failing"} 0`,
		"# TYPE edge_journal_flush_seconds histogram", `edge_journal_flush_seconds_bucket{le="0.001"} 1`,
		`edge_journal_flush_seconds_bucket{le="3"} 3`, `edge_journal_flush_seconds_bucket{le="+Inf"} 4`,
		"edge_journal_flush_seconds_sum 4.5\nedge_journal_flush_seconds_count 4\n",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (edge_\S+) (\S+)$`).FindAllStringSubmatch(body, -1) {
		if total := strings.HasSuffix(m[1], "_total"); total != (m[2] == "counter") {
			t.Errorf("%s is a %s", m[1], m[2])
		}
	}
}
