package main

import (
	"fmt"
	"strconv"

	"edge/broker"
	"edge/broker/journal"
	"edge/broker/login"
	"edge/internal/metrics"
)

// openMetrics serves the counts of the broker at the address in cfg, if there is
// one.
func (n *node) openMetrics(cfg metrics.Config) (*metrics.Server, error) {
	s, err := metrics.Open(cfg, n.collect, n.log)
	if err == nil && s.URL() != "" {
		n.log.Info("metrics", "url", s.URL())
	}
	return s, err
}

// collect gives a scrape its numbers. It runs in a goroutine of the HTTP server.
func (n *node) collect(out metrics.Samples) {
	b := buildInfo()
	out.Gauge(fmt.Sprintf("edge_build_info{version=%q,commit=%q,goversion=%q}", b.Version, b.Revision, b.Go), 1)
	st := n.server.Stats()
	counters(&st, out.Counter)
	for name, v := range gauges(&st) {
		out.Gauge(name, float64(v))
	}
	memoryMetrics(&st.Memory, out)
	if st.Journal != nil {
		journalMetrics(st.Journal, out)
	}
	if n.logins != nil {
		loginMetrics(n.logins.verifier.Stats(), out)
	}
}

// loginMetrics adds what became of logins with a password.
func loginMetrics(l login.Stats, out metrics.Samples) {
	for result, v := range map[string]uint64{"passed": l.Passed, "wrong": l.Wrong, "limited": l.Limited, "busy": l.Busy} {
		out.Counter(fmt.Sprintf("edge_logins_total{result=%q}", result), v)
	}
	out.Counter("edge_login_hashes_total", l.Hashed)
	out.Gauge("edge_logins_waiting", float64(l.Waiting))
}

// memoryMetrics adds how the memory of the process is.
func memoryMetrics(m *broker.MemoryStats, out metrics.Samples) {
	out.Gauge("edge_memory_budget_bytes", float64(m.Budget))
	out.Gauge("edge_memory_used_bytes", float64(m.Used))
	for _, s := range []broker.MemoryState{broker.MemoryOK, broker.MemoryTight, broker.MemoryFull} {
		is := 0.0
		if s == m.State {
			is = 1
		}
		out.Gauge(fmt.Sprintf("edge_memory_state{state=%q}", s), is)
	}
}

// journalMetrics adds what the journal counts.
func journalMetrics(j *journal.Stats, out metrics.Samples) {
	var appended uint64
	for _, t := range j.Appended {
		appended += t.Bytes
	}
	for name, v := range map[string]uint64{
		"edge_journal_appended_bytes_total":   appended - uint64(j.Kept),
		"edge_journal_moved_bytes_total":      uint64(j.Kept),
		"edge_journal_written_bytes_total":    uint64(j.Disk),
		"edge_journal_block_bytes_total":      uint64(j.Blocks), // what a card wears by
		"edge_journal_refused_records_total":  j.Refused,
		"edge_journal_damaged_records_total":  j.Damaged,
		"edge_journal_failures_total":         j.Failures,
		"edge_journal_segments_cleaned_total": uint64(j.Cleaned),
	} {
		out.Counter(name, v)
	}
	out.Gauge("edge_journal_bytes", float64(j.Bytes))
	out.Gauge("edge_journal_pending_bytes", float64(j.Pending))
	for _, s := range []journal.State{journal.OK, journal.Full, journal.Failing} {
		is := 0.0
		if s == j.State {
			is = 1
		}
		out.Gauge(fmt.Sprintf("edge_journal_state{state=%q}", s), is)
	}
	flushes := metrics.Histogram{Counts: j.FlushUnder[:], Sum: j.FlushTime.Seconds()}
	for _, bound := range journal.FlushBounds() {
		flushes.Bounds = append(flushes.Bounds, bound.Seconds())
	}
	out.Histogram("edge_journal_flush_seconds", flushes)
}

// counters gives add what has been counted. A label is one of a few words, never
// what clients choose: each value is a series that Prometheus keeps.
func counters(st *broker.Stats, add func(name string, v uint64)) {
	in, out := &st.Traffic.Received, &st.Traffic.Sent
	for qos := range in.Messages {
		label := `_total{qos="` + strconv.Itoa(qos) + `"}`
		add("edge_messages_received"+label, in.Messages[qos])
		add("edge_messages_sent"+label, out.Messages[qos])
	}
	for name, v := range map[string]uint64{
		`edge_messages_dropped_total{reason="slow"}`:       st.Dropped.Slow,
		`edge_messages_dropped_total{reason="expired"}`:    st.Dropped.Expired,
		`edge_messages_dropped_total{reason="full"}`:       st.Dropped.Full,
		`edge_messages_dropped_total{reason="large"}`:      st.Dropped.Large,
		`edge_messages_dropped_total{reason="orphaned"}`:   st.Dropped.Orphaned,
		`edge_messages_dropped_total{reason="damaged"}`:    st.Dropped.Damaged,
		`edge_messages_dropped_total{reason="forbidden"}`:  st.Dropped.Forbidden,
		`edge_messages_dropped_total{reason="refused"}`:    in.Refused,
		`edge_denied_total{action="publish"}`:              st.Denied.Publish,
		`edge_denied_total{action="subscribe"}`:            st.Denied.Subscribe,
		`edge_denied_total{action="receive"}`:              st.Denied.Receive,
		`edge_connections_total{result="accepted"}`:        st.Traffic.Accepted,
		`edge_connections_total{result="refused"}`:         st.Traffic.Refused,
		`edge_connections_refused_total{limit="all"}`:      st.Turned.Connections,
		`edge_connections_refused_total{limit="listener"}`: st.Turned.Listener,
		`edge_connections_refused_total{limit="address"}`:  st.Turned.Address,
		`edge_connections_refused_total{limit="rate"}`:     st.Turned.Rate,
		`edge_connections_refused_total{limit="user"}`:     st.Turned.User,
		`edge_connections_refused_total{limit="memory"}`:   st.Turned.Memory,
		`edge_memory_refused_total{what="message"}`:        st.Pressed.Messages,
		`edge_memory_refused_total{what="session"}`:        st.Pressed.Sessions,
		`edge_memory_refused_total{what="subscription"}`:   st.Pressed.Subscriptions,
		"edge_memory_tight_total":                          st.Memory.Tight,
		"edge_bytes_received_total":                        in.Bytes,
		"edge_bytes_sent_total":                            out.Bytes,
		"edge_packets_received_total":                      in.Packets,
		"edge_packets_sent_total":                          out.Packets,
		"edge_packets_too_large_total":                     st.Traffic.TooLarge,
		"edge_sessions_expired_total":                      st.Held.Expired,
	} {
		add(name, v)
	}
}

// gauges returns what there is now, by name.
func gauges(st *broker.Stats) map[string]int {
	h := &st.Held
	return map[string]int{
		"edge_clients_connected":    h.Online,
		"edge_sessions":             h.Sessions,
		"edge_subscriptions":        h.Subscriptions,
		"edge_shared_subscriptions": h.Shared,
		"edge_retained_messages":    h.Retained,
		"edge_retained_bytes":       h.RetainedBytes,
		"edge_inflight_messages":    h.Inflight,
		"edge_queued_messages":      h.Queued,
		"edge_queued_bytes":         h.QueuedBytes,
	}
}
