package login

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"edge/internal/config"
)

// The users file has a line for each user, and no nesting, so that a damaged line
// is the damage of one user, and reading 10 000 of them is nothing (decision 9):
//
//	NAME:on|off:ROLE,ROLE:HASH:CREATED
const header = `# The users of edge: NAME:on|off:ROLES:HASH:CREATED
# Made by edge user, which writes it anew: comments are not kept.
`

const (
	userFields = 5
	maxMistake = 20 // reported at once
)

// ParseUsers reads a users file; name is for messages. The error is nil or a
// config.Errors with all that is wrong: then there are no users, since one that
// is missing may be one that was disabled.
func ParseUsers(name string, data []byte) (Users, error) {
	return parseLines(name, data, parseUser)
}

// AppendText implements encoding.TextAppender.
func (us Users) AppendText(b []byte) ([]byte, error) {
	b = append(b, header...)
	for _, u := range us {
		state := "on"
		if u.Disabled {
			state = "off"
		}
		b = fmt.Appendf(b, "%s:%s:%s:%s:%s\n", u.Name, state, strings.Join(u.Roles, ","),
			u.Hash.Encode(), u.Created.UTC().Format(time.RFC3339))
	}
	return b, nil
}

// A mistake is what is wrong with a line, from a byte of it on.
type mistake struct {
	at  int
	err error
}

// parseLines reads a user from each line that is neither empty nor a comment.
func parseLines(name string, data []byte, parse func(string) (User, *mistake)) (Users, error) {
	var us Users
	var errs config.Errors
	seen := map[string]int{}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		u, bad := parse(line)
		if first := seen[u.Name]; bad == nil && first > 0 {
			bad = &mistake{0, fmt.Errorf("user %s is in line %d already", u.Name, first)}
		}
		if bad == nil && len(us) == MaxUsers {
			bad = &mistake{0, fmt.Errorf("the most users are %d", MaxUsers)}
		}
		if bad != nil {
			column := utf8.RuneCountInString(line[:bad.at]) + 1
			errs = append(errs, &config.Error{File: name, Line: n, Column: column, Message: bad.err.Error()})
			if len(errs) == maxMistake {
				break
			}
			continue
		}
		seen[u.Name] = n
		us = append(us, u)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	slices.SortFunc(us, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return us, nil
}

func parseUser(line string) (u User, bad *mistake) {
	fields := strings.SplitN(line, ":", userFields)
	if len(fields) < userFields {
		return u, &mistake{0, fmt.Errorf("has %d parts, not the %d of NAME:on|off:ROLES:HASH:CREATED", len(fields), userFields)}
	}
	u.Name = fields[0]
	at := 0
	for i, read := range []func(string) error{CheckName, u.readState, u.readRoles, u.readHash, u.readCreated} {
		if err := read(fields[i]); err != nil {
			return u, &mistake{at, err}
		}
		at += len(fields[i]) + 1
	}
	return u, nil
}

func (u *User) readState(s string) error {
	u.Disabled = s == "off"
	if s != "on" && s != "off" {
		return fmt.Errorf("must be on or off, to say whether the user may log in")
	}
	return nil
}

func (u *User) readRoles(s string) error {
	if s != "" {
		u.Roles = SortRoles(strings.Split(s, ","))
	}
	return CheckRoles(u.Roles)
}

func (u *User) readHash(s string) (err error) {
	u.Hash, err = ParseHash(s)
	return err
}

func (u *User) readCreated(s string) (err error) {
	u.Created, err = time.Parse(time.RFC3339, s)
	if err != nil || u.Created.Year() < 1 || u.Created.Year() > 9999 {
		return fmt.Errorf("must be the time at which the user was made, like 2026-11-27T12:00:00Z")
	}
	u.Created = u.Created.UTC().Truncate(time.Second)
	return nil
}
