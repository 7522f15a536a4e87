package main

import "edge/bench/load"

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
	Failed   bool         `json:"failed"`             // by loss, disorder or Error; never by time
}

// A Comparison says how a peer did in the same row.
type Comparison struct {
	Peer  string  `json:"peer"`
	Ratio float64 `json:"ratio"` // value of the peer over that of edge
	Goal  float64 `json:"goal,omitempty"`
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
// peers lose.
func (r *Result) judge(row Row) {
	forgiven := row.PeersMayLose && r.Broker != tested
	r.Failed = r.Error != "" || !forgiven && !r.complete()
}

// compare notes in the result of edge how the others did. A broker that lost
// messages has done less work, and is not compared.
func compare(row Row, results []Result) {
	for i := range results {
		edge := &results[i]
		if edge.Broker != tested || !edge.complete() || edge.Value <= 0 {
			continue
		}
		edge.Goal = row.Goal
		for _, r := range results {
			if r.Broker != tested && r.complete() {
				edge.Compared = append(edge.Compared, Comparison{r.Broker, r.Value / edge.Value, row.Ratio[r.Broker]})
			}
		}
	}
}

// complete says whether all the work was done, and in order.
func (r *Result) complete() bool { return r.Error == "" && r.Lost == 0 && r.Late == 0 }
