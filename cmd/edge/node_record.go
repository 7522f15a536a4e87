package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"edge/bridge"
)

// A recorder keeps what outputs become, and why, in a file of the data directory. It
// hears of it as everybody can, and writes many changes at once: a card wears out by
// being written to, and what a power cut takes is the last few seconds.
type recorder struct {
	trail trail
	log   *slog.Logger
	root  string // prefix and node
	over  chan struct{}

	waiting chan struct{} // there is something to write
	hurry   chan struct{} // there is much

	mu      sync.Mutex
	pending []byte
	dropped int   // since it was last said
	err     error // of the last write
}

// An outputLine is one line of the file.
type outputLine struct {
	Output string `json:"output"` // BRIDGE/ENTITY
	bridge.Change
}

const (
	outputsName = "outputs"

	// outputsVerb has the hub write what waits.
	outputsVerb = "outputs"

	// recordTime is how long changes wait for others, before all are written.
	recordTime = 10 * time.Second

	// muchPending, in bytes, is written sooner. While it cannot be, no more than
	// maxPending is kept.
	muchPending = 64 << 10
	maxPending  = 512 << 10

	// maxChange is the most bytes of one change.
	maxChange = 2 << 10

	// lastChanges bounds how long the end waits for what bridges have said last.
	lastChanges = 200 * time.Millisecond
)

// record begins to keep what outputs become. The bridges have ended before it is
// stopped.
func (n *node) record() (stop func(), err error) {
	r := &recorder{
		trail: trail{n.plan.Data, outputsName}, log: n.log, root: n.plan.Prefix + "/" + n.plan.Node + "/",
		over: make(chan struct{}), waiting: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
	n.recorder = r
	ctx, cancel := context.WithCancel(context.Background())
	client := n.server.Client("outputs")
	if err := client.Subscribe(ctx, r.root+"+/+/log", r.take); err != nil {
		cancel()
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(ctx)
	}()
	return func() {
		r.end(client)
		cancel()
		<-done
		r.flush()
	}, nil
}

// last is the topic of what the recorder itself says at the end.
func (r *recorder) last() string { return r.root + "hub/outputs/log" }

// end returns when everything has been heard that was said until now.
func (r *recorder) end(client bridge.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), lastChanges)
	defer cancel()
	if err := client.Publish(ctx, bridge.Message{Topic: r.last(), QoS: 1}); err != nil {
		return
	}
	select {
	case <-r.over:
	case <-ctx.Done():
	}
}

// take keeps m in mind, if a bridge says it of its own output.
func (r *recorder) take(m bridge.Message) {
	output := strings.TrimSuffix(strings.TrimPrefix(m.Topic, r.root), "/log")
	name, _, _ := strings.Cut(output, "/")
	switch {
	case m.Topic == r.last() && len(m.Payload) == 0:
		select {
		case <-r.over:
		default:
			close(r.over)
		}
		return
	case m.Retain || len(m.Payload) > maxChange || m.From.User != "bridge/"+name:
		return
	}
	line := outputLine{Output: output}
	if err := json.Unmarshal(m.Payload, &line.Change); err != nil {
		return
	}
	if text, err := json.Marshal(line); err == nil {
		r.add(append(text, '\n'))
	}
}

func (r *recorder) add(text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending)+len(text) > maxPending {
		r.dropped++
		return
	}
	r.pending = append(r.pending, text...)
	notify(r.waiting)
	if len(r.pending) > muchPending && r.err == nil {
		notify(r.hurry)
	}
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run writes until ctx ends.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.waiting:
		}
		wait := time.NewTimer(recordTime)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		case <-r.hurry:
			wait.Stop()
		}
		r.flush()
	}
}

// flush writes what waits. What cannot be written waits for the next time.
func (r *recorder) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) == 0 {
		return
	}
	err := r.trail.append(r.pending)
	if err != nil {
		if r.err == nil {
			r.log.Error("what outputs become cannot be kept", "err", err)
		}
		r.err = err
		notify(r.waiting)
		return
	}
	if r.dropped > 0 {
		r.log.Warn("changes of outputs are not in the file", "count", r.dropped)
	}
	r.pending, r.dropped, r.err = nil, 0, nil
}
