package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"edge/bench/load"
	"edge/bench/peer"
)

// A Row is one kind of load under which brokers are compared.
type Row struct {
	Name  string
	Title string
	Unit  string
	Goal  float64 // of edge, in Unit; 0 when there is none

	// Rate is how many messages a second edge should take, or give; 0 when there is
	// no goal.
	Rate float64

	// Most is what figures of edge, by name, should not exceed.
	Most map[string]float64

	// Ratio is by how much a peer's value should exceed that of edge.
	Ratio map[string]float64

	// Compare names figures that are compared as the value is.
	Compare []string

	// Rounds is how often each broker has its turn, 0 for once. The brokers
	// alternate, so that what the machine does at times hits all of them.
	Rounds int

	// PeersMayLose is true where stock peers lose messages by design: that is
	// shown, and is no failure of the row.
	PeersMayLose bool

	// Kept is true where no broker may lose what it has acknowledged: each is set up
	// for that, and mochi comes with each of its stores.
	Kept bool

	// Peers names the brokers that take part; empty are all.
	Peers []string

	// Rival is what edge is compared with where that is no broker.
	Rival string

	// EdgeOnly is true where there is nothing to compare.
	EdgeOnly bool

	Measure measureFunc
}

// A measureFunc measures one broker in one row.
type measureFunc func(context.Context, peer.Peer, Timing) (Result, error)

// Timing says how thoroughly to measure.
type Timing struct {
	Warm  time.Duration // before the measurement
	Part  time.Duration // of which the median is taken
	Run   time.Duration // at least
	CPU   time.Duration // of the broker's, at least, unless the run gets four times as long
	Idle  time.Duration // of a broker that is left alone
	Slow  time.Duration // of a slow subscriber
	Start int           // starts of a broker
	Count int           // messages that wait for a subscriber who is away
	Crowd int           // clients that come back after a restart
	Quiet time.Duration // without a message, after which the missing ones are lost

	Changes int // of a pin
}

var (
	thorough = Timing{
		Warm: time.Second, Part: time.Second, Run: 5 * time.Second, CPU: 2 * time.Second,
		Idle: 5 * time.Second, Slow: 10 * time.Second, Start: 10, Count: 1_000_000, Crowd: 1000, Quiet: 10 * time.Second, Changes: 200,
	}
	short = Timing{
		Warm: 300 * time.Millisecond, Part: 300 * time.Millisecond, Run: 1500 * time.Millisecond,
		Idle: 2 * time.Second, Slow: 2 * time.Second, Start: 5, Count: 100_000, Crowd: 100, Quiet: 5 * time.Second, Changes: 40,
	}
)

// Units that several rows have.
const (
	µsPerMessage = "µs CPU/message"
	timesWithout = "× without"
)

// secure are the brokers with which the load speaks TLS.
var secure = []string{"edge", "mosquitto"}

// rows is the table of everything that is measured. Goals are those of the
// issues that asked for the row.
var rows = []Row{
	{Name: "qos0", Title: "QoS 0, 1→1", Unit: µsPerMessage, Goal: 0.7, Ratio: map[string]float64{"mosquitto": 3}, Measure: throughput(oneToOne(0))},
	{Name: "qos1", Title: "QoS 1, 1→1, window 100", Unit: µsPerMessage, Goal: 1.6, Ratio: map[string]float64{"mosquitto": 4}, Measure: throughput(oneToOne(1))},
	{Name: "qos2", Title: "QoS 2, 1→1, window 100", Unit: µsPerMessage, Goal: 4.0, Measure: throughput(oneToOne(2))},
	{Name: "qos0-fanout", Title: "QoS 0, 1→50", Unit: µsPerMessage, Goal: 0.45, Measure: throughput(fanOut(50))},
	{Name: "qos0-fanin", Title: "QoS 0, 50→1", Unit: µsPerMessage, Goal: 0.9, Measure: throughput(fanIn(50))},
	{Name: "qos1-pairs", Title: "QoS 1, 50 pairs", Unit: µsPerMessage, Goal: 2.0, Measure: throughput(pairs(50))},
	{Name: "qos0-tls", Title: "QoS 0, 1→1, TLS 1.3", Unit: µsPerMessage, Ratio: map[string]float64{"mosquitto": 1}, Peers: secure, Measure: secured(throughput(oneToOne(0)))},
	{Name: "qos1-tls", Title: "QoS 1, 1→1, window 100, TLS 1.3", Unit: µsPerMessage, Ratio: map[string]float64{"mosquitto": 1}, Peers: secure, Measure: secured(throughput(oneToOne(1)))},
	{Name: "qos0-rules", Title: "QoS 0, 1→1, 100 rules", Unit: timesWithout, Goal: 1.05, EdgeOnly: true, Measure: besideRules(oneToOne(0))},
	{Name: "qos1-rules", Title: "QoS 1, 1→1, window 100, 100 rules", Unit: timesWithout, Goal: 1.05, EdgeOnly: true, Measure: besideRules(oneToOne(1))},
	{Name: "wildcards", Title: "10 000 topics, 1 000 wildcard subscribers, 100 changes/s", Unit: µsPerMessage, Goal: 1.5, Measure: wildcards},
	{
		Name: "latency", Title: "latency at 1 000 messages/s, QoS 1", Unit: "µs p99", Compare: []string{"p99.9"},
		Ratio: map[string]float64{"mosquitto": 1}, Rounds: 3, Measure: latency,
	},
	{Name: "idle", Title: "5 000 idle clients", Unit: "KiB/client", Goal: 16, Measure: idle(5000)},
	{Name: "idle-tls", Title: "2 000 idle clients, TLS 1.3", Unit: "KiB/client", Goal: 48, Peers: secure, Measure: secured(idle(2000))},
	{Name: "return", Title: "1 000 users are back after a restart, TLS 1.3, passwords made by edge", Unit: "s", Goal: 10, Peers: secure, Measure: reconnect(false)},
	{Name: "return-chosen", Title: "1 000 users are back after a restart, TLS 1.3, passwords of people", Unit: "s", Goal: 10, EdgeOnly: true, Measure: reconnect(true)},
	{Name: "retained", Title: "100 000 retained messages of 16 bytes", Unit: "MB more", Goal: 40, PeersMayLose: true, Measure: retained},
	{Name: "burst", Title: "burst of 100 000, QoS 1, to a slow subscriber", Unit: "MB peak", Goal: 60, PeersMayLose: true, Measure: burst},
	{
		Name: "durable", Title: "durable QoS 1, subscriber away, 100 bytes, window 100", Unit: µsPerMessage, Goal: 6, Kept: true, PeersMayLose: true,
		Rate: 20_000, Compare: []string{timeFigure}, Ratio: map[string]float64{"mochi bolt": 10}, Measure: durable,
	},
	{
		Name: "queued", Title: "1 000 000 messages wait for a subscriber, who then takes them", Unit: "MB resident", Goal: 100, Rate: 100_000, Kept: true,
		Peers: []string{"edge", "mosquitto"}, PeersMayLose: true, Measure: queued,
	},
	{
		Name: "recovery", Title: "restart with 100 000 queued, 20 000 retained, 500 sessions", Unit: "ms", Goal: 2000, Kept: true,
		Most: map[string]float64{"peak": 2}, Peers: []string{"edge", "mosquitto", "mochi badger", "mochi pebble"}, PeersMayLose: true, Measure: recovery,
	},
	{Name: "disk-within", Title: "to the disk at 10 retained values/s of 148 bytes, subscriber there, within: 1s", Unit: "GB/day", Goal: 0.75, Kept: true, EdgeOnly: true, Measure: within(telemetry().measure)},
	{Name: "disk-now", Title: "to the disk at 10 retained values/s of 148 bytes, subscriber there, at once", Unit: "GB/day", Goal: 4, Kept: true, PeersMayLose: true, Measure: telemetry().measure},
	{
		Name: "disk-steady", Title: "to the disk at 1 000 messages/s of 512 bytes, subscriber there, within: 1s", Unit: "bytes/byte", Goal: 2, Kept: true,
		EdgeOnly: true, Measure: within(steady().measure),
	},
	{Name: "disk-alone", Title: "to the disk at 1 000 messages/s of 512 bytes, subscriber there, at once", Unit: "bytes/byte", Kept: true, EdgeOnly: true, Measure: steady().measure},
	{Name: "disk-fast", Title: "to the disk at full speed, 512 bytes, window 100, subscriber there", Unit: "bytes/byte", Goal: 2, Kept: true, PeersMayLose: true, Measure: perByte},
	{Name: "slow-1", Title: "fdatasync 10 ms slower, window 20", Unit: "ms/message", Rate: 700, Kept: true, EdgeOnly: true, Measure: slowDisk(1)},
	{Name: "slow-8", Title: "fdatasync 10 ms slower, 8 publishers, window 20", Unit: "ms/message", Rate: 5000, Kept: true, EdgeOnly: true, Measure: slowDisk(8)},
	{
		Name: "pins-input", Title: "an input changes, until its PUBLISH has come", Unit: "µs p99", Compare: []string{"p50"},
		Peers: []string{"edge"}, Rival: loopName, PeersMayLose: true, Measure: pinsRow(inputToPublish),
	},
	{
		Name: "pins-set", Title: "a command is published, until the output has its level", Unit: "µs p99", Compare: []string{"p50"},
		Peers: []string{"edge"}, Rival: loopName, PeersMayLose: true, Measure: pinsRow(setToLevel),
	},
	{Name: "pins-storm", Title: "28 inputs bounce at 10 kHz: another topic, there and back", Unit: "µs p99", Goal: 20_000, EdgeOnly: true, Measure: pinsStorm},
	{Name: "start", Title: "start to first CONNACK", Unit: "ms", Goal: 300, Measure: start},
	{Name: "demo", Title: "edge demo, resident when idle", Unit: "MB", Goal: 16, EdgeOnly: true, Measure: demo},
	{Name: "size", Title: "binary, stripped", Unit: "MB", Goal: 12, EdgeOnly: true, Measure: size},
}

// rowNamed returns the row called name, or nothing.
func rowNamed(name string) Row {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Name == name })
	if i < 0 {
		return Row{}
	}
	return rows[i]
}

// group is what all rows in which nothing may be lost match.
const group = "durable"

// selectRows returns the rows whose name, title or group matches pattern.
func selectRows(pattern string) ([]Row, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("--row: %w", err)
	}
	var chosen []Row
	for _, r := range rows {
		if re.MatchString(r.Name) || re.MatchString(r.Title) || r.Kept && re.MatchString(group) {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("--row %s matches none of the rows", pattern)
	}
	return chosen, nil
}

const (
	// payload is the size of a message in bytes, where a row does not say another.
	payload = 64

	// batch is how many messages a publisher writes at once. The larger it is,
	// the fewer system calls a broker that reads and writes in blocks needs:
	// with 100 it would cost a third of what it costs with 10, where a broker
	// that goes message by message costs the same.
	batch = 10
)

func oneToOne(qos byte) load.Spec {
	return load.Spec{
		QoS: qos, Payload: payload, Fanout: 1,
		Topics: [][]string{{"bench/0"}}, Filters: []string{"bench/0"},
		Batch: batch, Window: 100, Outstanding: 1000,
	}
}

// fanOut keeps fewer than 8 192 deliveries under way, with which stock mochi
// begins to lose them.
func fanOut(n int) load.Spec {
	s := oneToOne(0)
	s.Fanout, s.Outstanding = n, 150
	s.Filters = nil
	for range n {
		s.Filters = append(s.Filters, "bench/0")
	}
	return s
}

func fanIn(n int) load.Spec {
	s := pairs(n)
	s.QoS, s.Filters, s.Outstanding = 0, []string{"bench/+"}, 100
	return s
}

func pairs(n int) load.Spec {
	s := oneToOne(1)
	s.Topics, s.Filters = nil, nil
	for i := range n {
		topic := fmt.Sprint("bench/", i)
		s.Topics = append(s.Topics, []string{topic})
		s.Filters = append(s.Filters, topic)
	}
	return s
}
