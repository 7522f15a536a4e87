package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"edge/broker"
	"edge/broker/journal"
)

// What is assumed of a card whose maker does not say how much may be written to
// it: how often its cells can be written, for a cheap one and one for industry,
// and how much it writes for itself for each byte that it is given, since its
// pages are far larger than ours.
const (
	cheapCycles      = 500
	industrialCycles = 3000
	cardFactor       = 10
)

// leastSpan is how long must have been counted to say anything: files are filled
// with zeros first.
const leastSpan = time.Hour

func (a *app) storeStatCommand() *cobra.Command {
	var p place
	var tbw float64
	cmd := &cobra.Command{
		Use:   "stat",
		Short: "Say what is in the store, and how long the card lasts",
		Example: `  edge store stat
  edge store stat --card-tbw 60            the maker promises 60 TB
  edge store stat --json --data /var/lib/edge`,
		Long: `What is written is counted since the store was made, in blocks of 4 KiB, as the disk
gets it. Without --card-tbw the card is taken to bear as much as its size (that of
the file system), times 500 (a cheap card) to 3000 (one for industry), divided by 10:
a card writes more than it is told.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			data := p.dir()
			return readStore(data, func(s *broker.Store) error {
				st := statOf(s, storeDir(data))
				st.wear(storeDir(data), tbw)
				if a.json {
					return json.NewEncoder(a.out).Encode(st)
				}
				a.printStat(&st)
				return nil
			})
		},
	}
	p.flags(cmd.Flags())
	cmd.Flags().Float64Var(&tbw, "card-tbw", 0, "terabytes that may be written to the card, as its maker says")
	a.jsonFlag(cmd, "print one JSON object")
	return cmd
}

// A storeStat is what `edge store stat --json` prints.
type storeStat struct {
	Dir           string      `json:"dir"`
	Sessions      int         `json:"sessions"`
	Subscriptions int         `json:"subscriptions"`
	Queued        int         `json:"queued"`       // messages to clients, sent and not acknowledged ones among them
	QueuedBytes   int         `json:"queued_bytes"` // of payloads
	Retained      int         `json:"retained"`
	RetainedBytes int         `json:"retained_bytes"`
	Bytes         int64       `json:"bytes"` // of segments
	Needed        int64       `json:"needed_bytes"`
	Garbage       int64       `json:"garbage_bytes"`
	Free          int64       `json:"free_bytes"` // in segments
	Lost          uint64      `json:"lost"`
	Kinds         []kindUsage `json:"kinds"`
	Wear          *storeWear  `json:"wear,omitempty"` // not counted yet if missing
}

type kindUsage struct {
	Kind    string `json:"kind"`
	Records uint64 `json:"records"`
	Bytes   int64  `json:"bytes"`
	Needed  int64  `json:"needed_bytes"`
}

// A storeWear says what was written so far, and how long a card bears that.
type storeWear struct {
	Since         time.Time `json:"since"`
	Until         time.Time `json:"until"`
	Written       int64     `json:"written_bytes"`
	Amplification float64   `json:"write_amplification"` // bytes written for each byte of records
	PerDay        float64   `json:"bytes_per_day,omitempty"`
	Bears         []float64 `json:"card_bears_bytes,omitempty"` // the least and the most, or what the maker says
	Years         []float64 `json:"card_years,omitempty"`
}

func statOf(s *broker.Store, dir string) storeStat {
	held := s.Held()
	st := storeStat{
		Dir: dir, Sessions: held.Sessions, Subscriptions: held.Subscriptions, Queued: held.Queued + held.Inflight,
		Retained: held.Retained, RetainedBytes: held.RetainedPayload,
		Bytes: s.Report.Bytes, Lost: s.Report.Lost,
	}
	_ = s.Each(func(r *journal.Record, _ error) error { // f returns none.
		if len(r.Targets) > 0 && r.Message != nil {
			st.QueuedBytes += len(r.Message.Payload)
		}
		return nil
	})
	st.Free = st.Bytes
	for _, u := range s.Usage() {
		name := u.Kind.String()
		if name == "" {
			name = "unknown"
		}
		st.Kinds = append(st.Kinds, kindUsage{name, u.Records, u.Bytes, u.Needed})
		st.Needed += u.Needed
		st.Garbage += u.Bytes - u.Needed
		st.Free -= u.Bytes
	}
	if life := s.Report.Life; !life.Since.IsZero() {
		st.Wear = &storeWear{Since: life.Since, Written: life.Written}
		if life.Appended > 0 {
			st.Wear.Amplification = float64(life.Written) / float64(life.Appended)
		}
	}
	return st
}

// wear finds out how long the card lasts; tbw is how many terabytes it bears, 0 if
// its maker does not say.
func (st *storeStat) wear(dir string, tbw float64) {
	w := st.Wear
	if w == nil {
		return
	}
	w.Until = lastWritten(dir)
	span := w.Until.Sub(w.Since)
	if span < leastSpan {
		return
	}
	w.PerDay = float64(w.Written) / (span.Hours() / 24)
	if w.Bears = []float64{tbw * 1e12}; tbw == 0 {
		size := sizeOfCard(dir)
		w.Bears = []float64{size * cheapCycles / cardFactor, size * industrialCycles / cardFactor}
	}
	for _, bears := range w.Bears {
		w.Years = append(w.Years, bears/max(w.PerDay, 1)/365.25)
	}
}

// lastWritten returns when a file in dir was written last.
func lastWritten(dir string) (last time.Time) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil //nolint:nilerr // What cannot be seen does not count.
		}
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return nil
	})
	return last
}

// sizeOfCard returns the bytes of the file system of dir, 0 if it does not say.
func sizeOfCard(dir string) float64 {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0
	}
	return float64(s.Blocks) * float64(s.Bsize)
}

func (a *app) printStat(st *storeStat) {
	head := func(s string) { fmt.Fprintln(a.out, a.paint(a.out, bold, s)) }
	head(st.Dir)
	for _, row := range []struct{ name, value string }{
		{"sessions", fmt.Sprintf("%d, with %d subscriptions", st.Sessions, st.Subscriptions)},
		{"queued", fmt.Sprintf("%d messages, %s", st.Queued, byteText(int64(st.QueuedBytes)))},
		{"retained", fmt.Sprintf("%d messages, %s", st.Retained, byteText(int64(st.RetainedBytes)))},
		{"on disk", fmt.Sprintf("%s: %s needed, %s garbage, %s free", byteText(st.Bytes), byteText(st.Needed), byteText(st.Garbage), byteText(st.Free))},
	} {
		fmt.Fprintf(a.out, "  %-14s %s\n", row.name, row.value)
	}
	if st.Lost > 0 {
		fmt.Fprintf(a.out, "  %-14s %s\n", "damaged", a.paint(a.out, red, fmt.Sprintf("%d records; edge store check names them", st.Lost)))
	}
	head("records by kind: █ needed, ░ garbage")
	var most int64
	for _, k := range st.Kinds {
		most = max(most, k.Bytes)
	}
	for _, k := range st.Kinds {
		fmt.Fprintf(a.out, "  %-14s %s %10s %9d records\n", k.Kind, a.bar(k.Needed, k.Bytes, most), byteText(k.Bytes), k.Records)
	}
	head("wear")
	a.printWear(st.Wear)
}

func (a *app) printWear(w *storeWear) {
	if w == nil {
		fmt.Fprintln(a.out, "  nothing was counted yet")
		return
	}
	fmt.Fprintf(a.out, "  %-14s %s since %s\n", "written", byteText(w.Written), w.Since.Format(time.DateOnly))
	fmt.Fprintf(a.out, "  %-14s %.2f bytes for each byte of records\n", "amplification", w.Amplification)
	if len(w.Years) == 0 {
		fmt.Fprintln(a.out, "  counted for less than an hour: too short to say how long the card lasts")
		return
	}
	rate := byteText(int64(w.PerDay))
	if w.Until.Sub(w.Since) < 24*time.Hour {
		rate += a.paint(a.out, yellow, " (counted for less than a day)")
	}
	fmt.Fprintf(a.out, "  %-14s %s\n", "per day", rate)
	years := make([]string, len(w.Years))
	for i, y := range w.Years {
		years[i] = fmt.Sprintf("%.1f", y)
	}
	fmt.Fprintf(a.out, "  %-14s %s years at this rate, if it bears %s\n", "the card lasts", strings.Join(years, " to "), bearsText(w.Bears))
}

func bearsText(bears []float64) string {
	text := make([]string, len(bears))
	for i, b := range bears {
		text[i] = fmt.Sprintf("%.3g TB", b/1e12)
	}
	return strings.Join(text, " to ")
}

// barWidth is how many characters the longest bar has.
const barWidth = 30

// bar draws part and the rest of all, in proportion to most.
func (a *app) bar(part, all, most int64) string {
	if most == 0 {
		return strings.Repeat(" ", barWidth)
	}
	long := int((all*barWidth + most - 1) / most)
	full := min(long, int((part*barWidth+most/2)/most))
	if part > 0 {
		full = max(full, 1)
	}
	return a.paint(a.out, green, strings.Repeat("█", full)) + a.paint(a.out, dim, strings.Repeat("░", long-full)) +
		strings.Repeat(" ", barWidth-long)
}

// byteText writes a number of bytes for people.
func byteText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
