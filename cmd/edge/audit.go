package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"edge/broker/login"
)

// An auditLog is the file in a data directory that says who has changed what: a line
// of JSON for each change of users, roles and configuration.
type auditLog struct {
	dir string
	log *slog.Logger // is told what could not be written
}

// An author is who asks for a change, and from where.
type author struct {
	Who  string `json:"who"` // name of a principal, uid:1000, or what else is known
	From string `json:"from"`
}

// A change is what is done, or was tried.
type change struct {
	What   string `json:"what"`
	About  string `json:"about,omitempty"` // the user or the client
	Detail string `json:"detail,omitempty"`
}

// An auditLine is one line of the file. There is never a password in it.
type auditLine struct {
	Time time.Time `json:"time"`
	author
	change
	Outcome string `json:"outcome"` // done, or why not
}

const (
	auditName = "audit"

	// maxAuditText is the most bytes of one value.
	maxAuditText = 1000

	// maxUserLines bounds what one change of many users writes.
	maxUserLines = 20
)

func (l auditLog) trail() trail { return trail{l.dir, auditName} }

// note writes that by has made c, or why that was not done. What cannot be written is
// told to the log: the change is made already.
func (l auditLog) note(by author, c change, why error) {
	if err := l.write(by, c, why); err != nil {
		l.log.Error("a change is not in the audit", "who", by.Who, "what", c.What, "about", c.About, "err", err)
	}
}

func (l auditLog) write(by author, c change, why error) error {
	line := auditLine{time.Now().UTC().Truncate(time.Millisecond), by, c, "done"}
	if why != nil {
		line.Outcome = why.Error()
	}
	for _, s := range []*string{&line.About, &line.Detail, &line.Outcome} {
		*s = (*s)[:min(len(*s), maxAuditText)]
	}
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	return l.trail().append(append(text, '\n'))
}

// writeUsers writes what has become of users.
func (l auditLog) writeUsers(by author, before, after login.Users) error {
	changes := userChanges(before, after)
	if n := len(changes); n > maxUserLines {
		changes = []change{{What: "users changed", Detail: fmt.Sprintf("%d changes, too many to tell", n)}}
	}
	for _, c := range changes {
		if err := l.write(by, c, nil); err != nil {
			return err
		}
	}
	return nil
}

// userChanges returns what makes after of before.
func userChanges(before, after login.Users) (changes []change) {
	for _, u := range before {
		if _, ok := after.Find(u.Name); !ok {
			changes = append(changes, change{What: "user removed", About: u.Name})
		}
	}
	for _, u := range after {
		roles := "roles " + strings.Join(u.Roles, ",")
		old, ok := before.Find(u.Name)
		if !ok {
			changes = append(changes, change{What: "user added", About: u.Name, Detail: roles})
			continue
		}
		if u.Hash.Encode() != old.Hash.Encode() {
			changes = append(changes, change{What: "password changed", About: u.Name})
		}
		if !slices.Equal(u.Roles, old.Roles) {
			changes = append(changes, change{What: "roles changed", About: u.Name, Detail: roles})
		}
		if u.Disabled != old.Disabled {
			changes = append(changes, change{What: map[bool]string{true: "user disabled", false: "user enabled"}[u.Disabled], About: u.Name})
		}
	}
	return changes
}

// read returns the lines, the oldest first, and how many others cannot be read.
func (l auditLog) read() (lines []auditLine, bad int, err error) {
	return readTrail[auditLine](l.trail())
}
