package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"edge/bench/peer"
)

// measure gets the brokers ready and measures row by row, each broker in turn.
func measure(ctx context.Context, o options, chosen []Row, say func(string)) (Report, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return Report{}, err
	}
	defer os.RemoveAll(dir)
	place, err := peer.Place(o.cpus)
	if err != nil {
		return Report{}, err
	}
	rep := Report{Short: o.short, Machine: describe()}
	rep.Machine.Placement = place.String()
	src := peer.Source{Edge: o.edge, Dir: dir}
	brokers, err := find(ctx, &rep, src, o.peers, say)
	if err != nil {
		return rep, err
	}
	for i := range brokers {
		brokers[i].Place = place
	}
	var kept []peer.Peer
	if slices.ContainsFunc(chosen, func(r Row) bool { return r.Kept }) {
		say("getting databases ready")
		if kept, err = keep(ctx, src, o.keepers(brokers)); err != nil {
			return rep, err
		}
	}
	if err := place.Enter(); err != nil {
		return rep, err
	}
	for i, row := range chosen {
		say := func(what string) { say(fmt.Sprintf("[%d/%d] %s: %s", i+1, len(chosen), row.Title, what)) }
		taking := brokers
		if row.Kept {
			taking = kept
		}
		results, err := row.measure(ctx, row.withRival(row.taking(taking)), o.timing(), say)
		if err != nil {
			return rep, err
		}
		rep.Results = append(rep.Results, results...)
	}
	return rep, nil
}

// keepers returns the brokers that take part where nothing may be lost. A short run
// leaves the others out, which keep hundreds of messages a second: they would take as
// long as all other rows.
func (o options) keepers(brokers []peer.Peer) []peer.Peer {
	if !o.short {
		return brokers
	}
	return slices.DeleteFunc(slices.Clone(brokers), func(p peer.Peer) bool { return p.Name != "edge" })
}

// keep returns the brokers as they are where nothing may be lost, on a disk.
func keep(ctx context.Context, src peer.Source, brokers []peer.Peer) ([]peer.Peer, error) {
	dir, _, err := diskDir()
	if err != nil {
		return nil, err
	}
	var kept []peer.Peer
	for _, p := range brokers {
		p.Under = dir
		k, err := src.Kept(ctx, p)
		if err != nil {
			return nil, err
		}
		kept = append(kept, k...)
	}
	return kept, nil
}

// taking returns the brokers that the row is about.
func (row Row) taking(brokers []peer.Peer) []peer.Peer {
	return slices.DeleteFunc(slices.Clone(brokers), func(p peer.Peer) bool {
		return row.EdgeOnly && p.Name != tested || len(row.Peers) > 0 && !slices.Contains(row.Peers, p.Name)
	})
}

// withRival adds to edge what the row compares it with.
func (row Row) withRival(brokers []peer.Peer) []peer.Peer {
	if row.Rival == "" || len(brokers) == 0 {
		return brokers
	}
	return append(brokers, peer.Peer{Name: row.Rival, Place: brokers[0].Place})
}

// find looks for the brokers called names; one that is not installed is skipped
// and named in the report.
func find(ctx context.Context, rep *Report, src peer.Source, names string, say func(string)) ([]peer.Peer, error) {
	var brokers []peer.Peer
	for name := range strings.SplitSeq(names, ",") {
		say("getting " + name + " ready")
		p, err := src.Find(ctx, name)
		b := Broker{Name: name, Version: p.Version}
		switch {
		case errors.Is(err, peer.ErrMissing):
			b.Missing = err.Error()
		case err != nil:
			return nil, err
		default:
			brokers = append(brokers, p)
		}
		rep.Brokers = append(rep.Brokers, b)
	}
	return brokers, nil
}

// measure measures the brokers that the row is about, in as many rounds as it
// has, and compares them. It fails only when ctx ends.
func (row Row) measure(ctx context.Context, brokers []peer.Peer, t Timing, say func(string)) ([]Result, error) {
	rounds := make(map[string][]Result)
	for range max(row.Rounds, 1) {
		for _, p := range brokers {
			say(p.Name)
			rounds[p.Name] = append(rounds[p.Name], row.one(ctx, p, t))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	var results []Result
	for _, p := range brokers {
		if len(rounds[p.Name]) == 0 {
			continue
		}
		r := merge(rounds[p.Name])
		r.judge(row)
		results = append(results, r)
	}
	compare(row, results)
	return results, nil
}

func (row Row) one(ctx context.Context, p peer.Peer, t Timing) Result {
	r, err := row.Measure(ctx, p, t)
	r.Row, r.Title, r.Unit, r.Broker = row.Name, row.Title, row.Unit, p.Name
	switch {
	case errors.Is(err, peer.ErrMissing):
		r.Missing = err.Error()
	case err != nil:
		r.Error = err.Error()
	}
	return r
}
