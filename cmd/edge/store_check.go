package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"edge/broker"
	"edge/broker/journal"
)

func (a *app) storeCheckCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Name everything in the store that is damaged",
		Example: `  edge store check
  edge store check --json --data /var/lib/edge`,
		Long: `The exit code is 0 if the store is intact, and 1 if something in it is damaged. What
is intact is used all the same: a hub that starts loses no more than is named here.
Client and topic of a damaged record are what can still be read of it. What a power
cut left unfinished is no damage: nobody was promised it.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.checkStore(p.dir()) },
	}
	p.flags(cmd.Flags())
	a.jsonFlag(cmd, "print one JSON object")
	return cmd
}

// A storeReport is what `edge store check --json` prints.
type storeReport struct {
	Dir        string         `json:"dir"`
	OK         bool           `json:"ok"`
	Error      string         `json:"error,omitempty"` // nothing can be read
	Files      int            `json:"files"`
	Bytes      int64          `json:"bytes"`
	Records    uint64         `json:"records"`
	Lost       uint64         `json:"lost"`
	Unfinished uint64         `json:"unfinished,omitempty"`
	Unknown    uint64         `json:"unknown,omitempty"`
	Damages    []storeDamage  `json:"damages,omitempty"`
	Flaws      []journal.Flaw `json:"flaws,omitempty"`
}

// A storeDamage is a place where records are lost.
type storeDamage struct {
	File    string   `json:"file,omitempty"` // none: a whole file is missing
	Offset  int64    `json:"offset"`
	Bytes   int64    `json:"bytes"`
	Lost    uint64   `json:"lost"`
	Kind    string   `json:"kind,omitempty"` // of the first of them, and what it was about
	Topic   string   `json:"topic,omitempty"`
	Clients []string `json:"clients,omitempty"`
}

func (a *app) checkStore(data string) error {
	r := storeReport{Dir: storeDir(data)}
	err := readStore(data, func(s *broker.Store) error {
		r.take(&s.Report)
		return nil
	})
	unreadable := errors.Is(err, journal.ErrUnreadable)
	if err != nil && !unreadable {
		return err
	}
	if unreadable {
		r.Error = err.Error()
	} else if !r.OK {
		err = fmt.Errorf("the store in %s is damaged: %d records are lost, %d files have other flaws", r.Dir, r.Lost, len(r.Flaws))
	}
	if a.json {
		if encErr := json.NewEncoder(a.out).Encode(r); encErr != nil || err == nil {
			return encErr
		}
		return quietError{err}
	}
	a.printReport(&r)
	return err
}

func (r *storeReport) take(from *journal.Report) {
	r.Files, r.Bytes, r.Records, r.Lost = from.Segments, from.Bytes, from.Records, from.Lost
	r.Unfinished, r.Unknown, r.Flaws = from.Unfinished, from.Unknown, from.Flaws
	for _, d := range from.Damages {
		r.Damages = append(r.Damages, storeDamage{d.File, d.Offset, d.Bytes, d.Lost, d.Kind.String(), d.Topic, d.Clients})
	}
	r.OK = r.Lost == 0 && len(r.Flaws) == 0
}

func (a *app) printReport(r *storeReport) {
	if r.Error != "" {
		return
	}
	fmt.Fprintf(a.out, "%s: %d files, %s, %d intact records\n", r.Dir, r.Files, byteText(r.Bytes), r.Records)
	for _, f := range r.Flaws {
		fmt.Fprintf(a.out, "%s %s\n", a.paint(a.out, red, f.File+":"), f.What)
	}
	for _, d := range r.Damages {
		file := d.File
		if file == "" {
			file = "a file that is missing"
		}
		fmt.Fprintf(a.out, "%s %s\n", a.paint(a.out, red, file+":"), printable(d.text()))
	}
	if r.Unfinished > 0 {
		fmt.Fprintf(a.out, "%d records of an unfinished write are left out: nobody was promised them\n", r.Unfinished)
	}
	if r.Unknown > 0 {
		fmt.Fprintf(a.out, "%d records are left out that another version of edge wrote\n", r.Unknown)
	}
	if r.OK {
		fmt.Fprintln(a.out, a.paint(a.out, green, "nothing is damaged"))
	}
}

func (d *storeDamage) text() string {
	text := fmt.Sprintf("%d records are lost", d.Lost)
	if d.File != "" {
		text += fmt.Sprintf(", in the %d bytes from %d", d.Bytes, d.Offset)
	}
	if d.Kind != "" {
		text += "; the first looks like: " + d.Kind
	}
	if d.Topic != "" {
		text += ", topic " + d.Topic
	}
	if len(d.Clients) > 0 {
		text += ", client " + strings.Join(d.Clients, ", ")
	}
	return text
}
