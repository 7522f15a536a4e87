package journal

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file is for people who look at a store: what a damaged record may have
// been, and what the intact ones take.

var kindNames = map[Kind]string{
	SessionBegun: "session", SessionEnded: "session ended", Subscribed: "subscription", Unsubscribed: "unsubscribed",
	Published: "message", Released: "released", Acknowledged: "acknowledged", Received: "received",
	WillSet: "will", WillCleared: "will cleared", Owned: "packet id", ClockRead: "clock", horizon: "horizon", mark: "mark",
}

// String names what a record of kind k says, "" if that is not known.
func (k Kind) String() string { return kindNames[k] }

// A Flaw is something wrong with a file of a store that is more, or less, than
// records that are lost.
type Flaw struct {
	File string `json:"file"`
	What string `json:"what"`
}

// flaw notes what is wrong with a file that can be used all the same.
func (d *Disk) flaw(s *slot, l label) {
	switch {
	case s.halved && l.id != 0: // The making of a file may have been cut between the two.
		d.flaws = append(d.flaws, Flaw{s.name, "one of the two copies of its label is damaged"})
	case l.id != 0 && l.number == 0:
		d.flaws = append(d.flaws, Flaw{s.name, "its label is damaged; its records were found without"})
	}
}

// recognize notes what the first record of a damage seems to have been. Nothing
// vouches for that.
func (d *Disk) recognize(at *Damage) {
	for _, s := range d.segments {
		for i := range s.extents {
			if slot := s.extents[i].slot; slot.name == at.File {
				w := window{r: slot.file, end: slot.size}
				at.guess(w.at(at.Offset, at.Bytes))
			}
		}
	}
}

// guess reads as much of f, a damaged frame, as makes sense.
func (d *Damage) guess(f []byte) {
	if len(f) <= frameHead || kindOf(f) > lastKind {
		return
	}
	var dec decoder
	_, _ = dec.decode(kindOf(f), f[frameHead:]) // What was read before a mistake is there.
	r := &dec.record
	d.Kind = kindOf(f)
	if r.Message != nil && legible(r.Message.Topic) {
		d.Topic = r.Message.Topic
	}
	if legible(r.Client) {
		d.Clients = append(d.Clients, r.Client)
	}
	for i := range r.Targets {
		if c := r.Targets[i].Client; legible(c) {
			d.Clients = append(d.Clients, c)
		}
	}
}

// legible reports whether s can be what a client called something.
func legible(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Scan calls f for each intact record of the log once more, after Replay, with
// the bytes that it takes. Of records that are the journal's own, or that this
// version of the program does not know, only the kind is set.
func (d *Disk) Scan(f func(r *Record, bytes int64)) {
	var dec decoder
	for i := range d.segments {
		d.scanSegment(i, max(d.horizon, 1), func(at found) {
			if at.sequence > d.sequence {
				return
			}
			r, err := dec.decode(at.kind, at.body)
			if err != nil {
				r = &Record{Kind: at.kind}
			}
			r.Place = placeAt(d.segments[i].number, uint32(at.offset))
			f(r, at.size())
		})
	}
}
