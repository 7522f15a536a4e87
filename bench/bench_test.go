package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/internal/topic"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 2, 9}, 3},
	} {
		if got := median(tt.in); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestPercentile(t *testing.T) {
	var hundred []int
	for i := range 100 {
		hundred = append(hundred, i+1)
	}
	for _, tt := range []struct {
		in   []int
		p    float64
		want int
	}{
		{[]int{7}, 0.999, 7},
		{hundred, 0, 1},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 0.999, 100},
		{hundred, 1, 100},
	} {
		if got := percentile(tt.in, tt.p); got != tt.want {
			t.Errorf("percentile %v of %d values = %d, want %d", tt.p, len(tt.in), got, tt.want)
		}
	}
}

func TestDigest(t *testing.T) {
	at := time.Unix(0, 0)
	r, err := digest([]reading{
		{at, 0, 100},
		{at.Add(time.Second), 200 * time.Millisecond, 100_100},
		{at.Add(2 * time.Second), 300 * time.Millisecond, 200_100},
		{at.Add(3 * time.Second), 900 * time.Millisecond, 300_100},
	})
	want := Result{Value: 2, Low: 1, High: 6, Rate: 100_000, More: []Figure{{"CPU of broker", 30, "%"}}}
	if diff := cmp.Diff(want, r); diff != "" || err != nil {
		t.Errorf("digest (-want +got), %v:\n%s", err, diff)
	}
	if r, err := digest([]reading{{at, 0, 5}, {at.Add(1), 1, 5}}); err == nil {
		t.Errorf("digest of a broker that delivers nothing = %v", r)
	}
}

func TestEnough(t *testing.T) {
	at := time.Unix(0, 0)
	timing := Timing{Run: 5 * time.Second, CPU: 2 * time.Second}
	for _, tt := range []struct {
		ran, cpu time.Duration
		want     bool
	}{
		{4 * time.Second, 4 * time.Second, false},
		{5 * time.Second, time.Second, false},
		{5 * time.Second, 2 * time.Second, true},
		{20 * time.Second, time.Second, true},
	} {
		got := enough([]reading{{at, 0, 0}, {at.Add(tt.ran), tt.cpu, 0}}, timing)
		if got != tt.want {
			t.Errorf("enough after %v with %v of CPU = %t, want %t", tt.ran, tt.cpu, got, tt.want)
		}
	}
}

// TestWildcardSpec counts who gets each topic: the row knows from this how many
// deliveries to expect.
func TestWildcardSpec(t *testing.T) {
	s := wildcardSpec()
	seen := map[string]bool{}
	for i, name := range s.Topics[0] {
		seen[name] = true
		if i%97 != 0 { // all of them would take seconds
			continue
		}
		n := 0
		for _, filter := range s.Filters {
			if topic.Match(filter, name) {
				n++
			}
		}
		if n != s.Fanout {
			t.Errorf("%d filters match %s, want %d", n, name, s.Fanout)
		}
	}
	if len(seen) != 10_000 || len(s.Filters) != 1000 {
		t.Errorf("%d topics, %d subscribers, want 10 000 and 1 000", len(seen), len(s.Filters))
	}
}

func TestSelectRows(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		want    []string
	}{
		{"^qos0$", []string{"qos0"}},
		{"QoS 2", []string{"qos2"}},
		{"^(start|size)$", []string{"start", "size"}},
		{"durable", []string{"durable", "queued", "recovery", "disk-within", "disk-now", "disk-steady", "disk-alone", "disk-fast", "slow-1", "slow-8"}},
	} {
		got, err := selectRows(tt.pattern)
		var names []string
		for _, r := range got {
			names = append(names, r.Name)
		}
		if diff := cmp.Diff(tt.want, names); diff != "" || err != nil {
			t.Errorf("rows of %q (-want +got), %v:\n%s", tt.pattern, err, diff)
		}
	}
	for _, pattern := range []string{"nosuch", "("} {
		if got, err := selectRows(pattern); err == nil {
			t.Errorf("rows of %q = %v, want it refused", pattern, got)
		}
	}
}

func TestRowNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.Name] {
			t.Errorf("two rows are called %s", r.Name)
		}
		seen[r.Name] = true
	}
}

func TestJudge(t *testing.T) {
	may := Row{PeersMayLose: true}
	for _, tt := range []struct {
		name   string
		row    Row
		result Result
		want   bool
	}{
		{"all well", Row{}, Result{Broker: "edge"}, false},
		{"slow", Row{Goal: 1}, Result{Broker: "edge", Value: 1000}, false},
		{"lost", Row{}, Result{Broker: "edge", Lost: 1}, true},
		{"out of order", Row{}, Result{Broker: "edge", Late: 1}, true},
		{"broker died", Row{}, Result{Broker: "edge", Error: "EOF"}, true},
		{"not installed", Row{}, Result{Broker: "edge", Missing: "strace"}, false},
		{"peer lost", Row{}, Result{Broker: "mochi", Lost: 1}, true},
		{"peer may lose", may, Result{Broker: "mochi", Lost: 1}, false},
		{"edge may not", may, Result{Broker: "edge", Lost: 1}, true},
		{"peer died", may, Result{Broker: "mochi", Error: "EOF"}, true},
	} {
		tt.result.judge(tt.row)
		if tt.result.Failed != tt.want {
			t.Errorf("%s: failed = %t, want %t", tt.name, tt.result.Failed, tt.want)
		}
	}
}

// TestCompareLosers compares a broker that lost messages only where a goal is
// set.
func TestCompareLosers(t *testing.T) {
	results := []Result{
		{Broker: "edge", Value: 2},
		{Broker: "mosquitto", Value: 10, Lost: 1},
		{Broker: "mochi bolt", Value: 40, Late: 1},
		{Broker: "mochi pebble", Error: "EOF"},
	}
	compare(Row{Ratio: map[string]float64{"mochi bolt": 10, "mochi pebble": 10}}, results)
	want := []Comparison{{Peer: "mochi bolt", Ratio: 20, Goal: 10}}
	if diff := cmp.Diff(want, results[0].Compared); diff != "" {
		t.Errorf("compared (-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	row := Row{Goal: 0.9, Ratio: map[string]float64{"mosquitto": 3}}
	results := []Result{
		{Row: "qos0", Title: "QoS 0, 1→1", Broker: "edge", Value: 0.5, Low: 0.4, High: 0.6, Unit: "µs", Rate: 1e6, RSS: 9.5e6, Expected: 100, Delivered: 100, More: []Figure{{"CPU", 99.9, "%"}}},
		{Row: "qos0", Title: "QoS 0, 1→1", Broker: "mosquitto", Value: 1.25, Low: 1.25, High: 1.25, Unit: "µs", Expected: 100, Delivered: 100},
		{Row: "qos0", Title: "QoS 0, 1→1", Broker: "mochi", Value: 0.1, Low: 0.1, High: 0.1, Unit: "µs", Expected: 100, Delivered: 90, Lost: 10},
	}
	compare(row, results)
	results = append(
		results,
		Result{Row: "slow-1", Title: "slow disk", Broker: "edge", Missing: "strace: not installed"},
		Result{Row: "recovery", Title: "restart", Broker: "edge", Value: 300, Low: 300, High: 300, Unit: "ms", More: []Figure{{"peak", 2.5, "× the final memory"}}},
		Result{Row: "durable", Title: "durable", Broker: "edge", Value: 3, Low: 3, High: 3, Unit: "µs", Rate: 19_999},
		Result{Row: "durable", Title: "durable", Broker: "mochi bolt", Value: 3, Low: 3, High: 3, Unit: "µs", Rate: 400},
	)
	rep := Report{
		Machine: Machine{"Raspberry Pi 5", 4, "6.12", "arm64", "go1.26", "not pinned", "ext4"},
		Brokers: []Broker{{Name: "edge", Version: "1.0"}, {Name: "nano", Missing: "not installed"}},
		Results: results,
	}
	var got strings.Builder
	if err := rep.Table(&got); err != nil {
		t.Fatal(err)
	}
	const want = `Raspberry Pi 5, 4 cores, arm64, Linux 6.12, go1.26; not pinned; what must survive is on ext4
edge 1.0
nano skipped: not installed

QoS 0, 1→1
  edge       0.50 µs (0.40–0.60)  1000000/s  RSS 9.5 MB  all 100                         goal ≤ 0.90 reached; mosquitto/edge 2.50 (goal ≥ 3.00 MISSED)  CPU 99.9 %
  mosquitto  1.25 µs                                     all 100
  mochi      0.10 µs                                     LOST 10, out of order 0 of 100

slow disk
  edge  skipped: strace: not installed

restart
  edge  300 ms        peak: goal ≤ 2 MISSED  peak 2.50 × the final memory

durable
  edge        3.00 µs  19999/s      goal ≥ 20000/s MISSED
  mochi bolt  3.00 µs  400/s
`
	var trimmed strings.Builder
	for line := range strings.Lines(got.String()) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if diff := cmp.Diff(want, trimmed.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestJSONBothWays(t *testing.T) {
	want := Report{
		Machine: Machine{CPU: "x", Cores: 2},
		Brokers: []Broker{{Name: "edge"}},
		Results: []Result{{Row: "qos0", Broker: "edge", Value: 0.5, Compared: []Comparison{{Peer: "mochi", Ratio: 10}}}},
	}
	var b bytes.Buffer
	if err := want.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var got Report
	err := json.Unmarshal(b.Bytes(), &got)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("report (-want +got), %v:\n%s", err, diff)
	}
}

func TestCPUModel(t *testing.T) {
	for _, tt := range []struct{ info, want string }{
		{"processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n", "AMD EPYC"},
		{"processor\t: 0\nmodel name\t: ARMv7 rev 4\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 3 Model B\n", "Raspberry Pi 3 Model B"},
		{"", "unknown"},
	} {
		if got := cpuModel([]byte(tt.info)); got != tt.want {
			t.Errorf("cpuModel(%q) = %q, want %q", tt.info, got, tt.want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--row", "nosuch"}, 2, "none of the rows"},
		{[]string{"--frob"}, 2, "frob"},
		{[]string{"extra"}, 2, "extra"},
		{[]string{"--from", "run.json", "--row", "qos0"}, 2, "--row"},
		{[]string{"--from", "testdata/nosuch.json"}, 1, "nosuch.json"},
		{[]string{"--from", "testdata/report.md"}, 1, "--json"},
		{[]string{"--peers", "hivemq"}, 1, "unknown broker"},
		{[]string{"--help"}, 0, "--peers edge,mochi"},
	} {
		var out, errs strings.Builder
		code := run(t.Context(), tt.args, &out, &errs)
		if code != tt.code || !strings.Contains(errs.String(), tt.want) || out.Len() > 0 {
			t.Errorf("run %q = %d, %q, %q; want %d and %q", tt.args, code, out.String(), errs.String(), tt.code, tt.want)
		}
	}
}
