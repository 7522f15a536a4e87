package main

import (
	"slices"

	"edge/bench/load"
)

// A Result is what one broker showed in one row.
type Result struct {
	Row    string   `json:"row"`
	Title  string   `json:"title"`
	Broker string   `json:"broker"`
	Value  float64  `json:"value"` // the median, in Unit; less is better
	Unit   string   `json:"unit"`
	Low    float64  `json:"low"` // of the parts of the run
	High   float64  `json:"high"`
	More   []Figure `json:"more,omitempty"`

	Rate      float64 `json:"messages_per_second,omitempty"` // delivered
	Expected  int64   `json:"expected"`                      // deliveries
	Delivered int64   `json:"delivered"`
	Lost      int64   `json:"lost"`
	Late      int64   `json:"late"`     // out of order, or twice
	RSS       int64   `json:"rss"`      // bytes, at the end
	PeakRSS   int64   `json:"peak_rss"` // bytes

	Goal     float64      `json:"goal,omitempty"`     // of edge: Value should not exceed it
	Compared []Comparison `json:"compared,omitempty"` // of edge
	Error    string       `json:"error,omitempty"`    // why there is no value
	Missing  string       `json:"missing,omitempty"`  // what must be installed before there is one
	Failed   bool         `json:"failed"`             // by loss, disorder or Error; never by time
}

// A Comparison says how a peer did in the same row.
type Comparison struct {
	Peer   string  `json:"peer"`
	Figure string  `json:"figure,omitempty"` // that is compared; the value if empty
	Ratio  float64 `json:"ratio"`            // value of the peer over that of edge
	Goal   float64 `json:"goal,omitempty"`
}

// A Figure is one more number of a result.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// account takes over what became of the messages.
func (r *Result) account(t load.Tally) {
	r.Expected, r.Delivered, r.Lost, r.Late = t.Expected, t.Delivered, t.Lost, t.Late
}

// spread takes the median and the extremes of parts.
func (r *Result) spread(parts []float64) {
	r.Value, r.Low, r.High = median(parts), parts[0], parts[0]
	for _, v := range parts {
		r.Low, r.High = min(r.Low, v), max(r.High, v)
	}
}

// judge decides whether r failed: by loss or disorder, unless the row lets
// peers lose. What is not installed has not failed.
func (r *Result) judge(row Row) {
	forgiven := row.PeersMayLose && r.Broker != tested
	r.Failed = r.Error != "" || !forgiven && r.Missing == "" && !r.complete()
}

// compare notes in the result of edge how the others did. A broker that lost
// messages has done less work, and is not compared, unless there is a goal: that is
// reached all the more.
func compare(row Row, results []Result) {
	for i := range results {
		edge := &results[i]
		if edge.Broker != tested || !edge.complete() || edge.Value <= 0 {
			continue
		}
		edge.Goal = row.Goal
		for _, r := range results {
			if r.Broker != tested && (r.complete() || row.Ratio[r.Broker] > 0 && r.measured()) {
				edge.compareWith(r, row)
			}
		}
	}
}

func (r *Result) compareWith(peer Result, row Row) {
	goal := row.Ratio[peer.Broker]
	r.Compared = append(r.Compared, Comparison{Peer: peer.Broker, Ratio: peer.Value / r.Value, Goal: goal})
	for _, name := range row.Compare {
		if own := r.figure(name).Value; own > 0 {
			r.Compared = append(r.Compared, Comparison{peer.Broker, name, peer.figure(name).Value / own, goal})
		}
	}
}

// figure returns the figure with the given name, or nothing.
func (r *Result) figure(name string) Figure {
	i := slices.IndexFunc(r.More, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return Figure{}
	}
	return r.More[i]
}

// merge makes one result of those that one broker showed in several rounds: the
// median of each figure, and all the messages. If a round went wrong, that is
// the result.
func merge(rounds []Result) Result {
	if i := slices.IndexFunc(rounds, func(r Result) bool { return r.Error != "" || r.Missing != "" }); i >= 0 {
		return rounds[i]
	}
	r := rounds[0]
	if len(rounds) == 1 {
		return r // with the extremes that it has found itself
	}
	of := func(get func(Result) float64) []float64 {
		var values []float64
		for _, round := range rounds {
			values = append(values, get(round))
		}
		return values
	}
	r.spread(of(func(r Result) float64 { return r.Value }))
	r.Rate = median(of(func(r Result) float64 { return r.Rate }))
	r.More = slices.Clone(r.More)
	for i := range r.More {
		f := &r.More[i]
		f.Value = median(of(func(r Result) float64 { return r.figure(f.Name).Value }))
	}
	for _, round := range rounds[1:] {
		r.Expected += round.Expected
		r.Delivered += round.Delivered
		r.Lost += round.Lost
		r.Late += round.Late
		r.RSS, r.PeakRSS = max(r.RSS, round.RSS), max(r.PeakRSS, round.PeakRSS)
	}
	return r
}

// measured says whether there is a value.
func (r *Result) measured() bool { return r.Error == "" && r.Missing == "" }

// complete says whether all the work was done, and in order.
func (r *Result) complete() bool {
	return r.Error == "" && r.Missing == "" && r.Lost == 0 && r.Late == 0
}
