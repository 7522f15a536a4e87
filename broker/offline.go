package broker

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"

	"edge/broker/delivery"
	"edge/broker/journal"
)

// A Store is a journal that is read while no broker has it. Nothing in it is
// changed.
type Store struct {
	Report journal.Report

	disk   *journal.Disk
	engine *delivery.Engine
}

// ReadStore reads the journal in the folder dir. The error wraps
// journal.ErrUnreadable if nothing in it can be read, and fs.ErrNotExist if there
// is no such folder.
func ReadStore(dir string) (*Store, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	quiet := slog.New(slog.DiscardHandler) // The report says it all.
	disk, err := journal.Open(journal.OS(dir), journal.Options{SegmentBytes: segmentBytes}, quiet)
	if err != nil {
		return nil, fmt.Errorf("read the journal in %s: %w", dir, err)
	}
	all := delivery.Options{Sessions: math.MaxInt, MaxExpiry: math.MaxUint32}
	s := &Store{disk: disk, engine: delivery.New(disk, all, quiet)}
	if s.Report, err = disk.Replay(s.engine.Restore); err != nil {
		return nil, fmt.Errorf("read the journal in %s: %w", dir, err)
	}
	s.engine.Restored()
	return s, nil
}

// Held returns what sessions and retained messages there are.
func (s *Store) Held() delivery.Stats { return s.engine.Stats() }

// Each calls f for what a broker would have from the store, as delivery's Current
// does, until it returns an error. Where a message cannot be read, damage is why.
func (s *Store) Each(f func(r *journal.Record, damage error) error) error {
	var stopped error
	s.engine.Current(func(r *journal.Record) {
		if stopped != nil {
			return
		}
		var damage error
		if r.Kind == journal.Published && r.Message == nil {
			r.Message, damage = s.disk.Load(r.Place)
		}
		stopped = f(r, damage)
	})
	return stopped
}

// A Usage says what the records of a kind take.
type Usage struct {
	Kind    journal.Kind
	Records uint64
	Bytes   int64
	Needed  int64 // of Bytes; the rest waits to be cleaned away
}

// Usage returns what the store consists of, by kind of record.
func (s *Store) Usage() []Usage {
	needed := make(map[journal.Place]struct{})
	s.engine.Current(func(r *journal.Record) { needed[r.Place] = struct{}{} })
	kinds := make([]Usage, math.MaxUint8+1)
	s.disk.Scan(func(r *journal.Record, bytes int64) {
		u := &kinds[r.Kind]
		u.Kind = r.Kind
		u.Records++
		u.Bytes += bytes
		if _, ok := needed[r.Place]; ok {
			u.Needed += bytes
		}
	})
	var used []Usage
	for _, u := range kinds {
		if u.Records > 0 {
			used = append(used, u)
		}
	}
	return used
}

// Snapshot returns the files of the store; the caller closes it.
func (s *Store) Snapshot() (*journal.Snapshot, error) { return s.disk.Snapshot() }

// Close lets go of the files.
func (s *Store) Close() { _ = s.disk.Close(context.Background()) } // It waits for nothing.
