package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"edge/broker/login"
	"edge/internal/wholefile"
)

// An auditLog is the file in a data directory that says who has changed what: a line
// of JSON for each change of users, roles and configuration. It is opened for each
// of them, because they are few, and because commands write it, too, when no hub
// runs.
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

	// maxAudit is the size in bytes at which the file becomes the older one, and the
	// one that was older is forgotten.
	maxAudit = 1 << 20

	// maxAuditText is the most bytes of one value.
	maxAuditText = 1000

	// maxUserLines bounds what one change of many users writes.
	maxUserLines = 20
)

// auditFiles are the files, the older one first.
func (l auditLog) files() [2]string {
	return [2]string{filepath.Join(l.dir, auditName+".1"), filepath.Join(l.dir, auditName)}
}

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
	return l.append(append(text, '\n'))
}

// append writes text to the end of the newer file, and syncs it.
func (l auditLog) append(text []byte) error {
	dir, err := os.Open(l.dir)
	if err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	defer dir.Close() // That unlocks it.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("write audit: lock %s: %w", l.dir, err)
	}
	f, err := l.open(dir, len(text))
	if err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	defer f.Close()
	if torn(f) {
		text = append([]byte("\n"), text...)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync()); err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	return dir.Sync()
}

// open opens the newer file, which has room for n bytes.
func (l auditLog) open(dir *os.File, n int) (*os.File, error) {
	names := l.files()
	if info, err := os.Stat(names[1]); err == nil && info.Size()+int64(n) > maxAudit {
		if err := os.Rename(names[1], names[0]); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(names[1], os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	like, err := dir.Stat()
	if err == nil {
		err = wholefile.Give(f, like)
	}
	return f, err
}

// torn reports whether a power cut has left f without the end of its last line.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
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
	for _, name := range l.files() {
		data, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, 0, fmt.Errorf("read audit: %w", err)
		}
		for text := range bytes.Lines(data) {
			var line auditLine
			if json.Unmarshal(text, &line) != nil {
				bad++
				continue
			}
			lines = append(lines, line)
		}
	}
	return lines, bad, nil
}
