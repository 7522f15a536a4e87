package access

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"edge/internal/config"
)

// Imported is what the access rules of another broker become.
type Imported struct {
	Config   Config
	Logins   []ImportedLogin
	Warnings config.Errors // what does not mean quite the same here, with its place

	file   string
	places map[string]int // the line of each rule, by its path from Config
}

// An ImportedLogin is somebody who could log in there.
type ImportedLogin struct {
	User     string
	Hash     string // of the password, as in a password_file; empty: there is none
	Disabled bool

	Line, Column int
}

// Where returns FILE:LINE, in the other broker's file, of the rule that the value
// at path belongs to; it is for Compile.
func (im *Imported) Where(path string) string {
	for path != "" {
		if line, ok := im.places[path]; ok {
			return fmt.Sprintf("%s:%d", im.file, line)
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return im.file
}

// declare makes a role, which may come to have no rules.
func (im *Imported) declare(role string) {
	if im.Config.Roles == nil {
		im.Config.Roles, im.places = make(map[string][]Rule), make(map[string]int)
	}
	if _, ok := im.Config.Roles[role]; !ok {
		im.Config.Roles[role] = nil
	}
}

// add appends a rule of a line to a role.
func (im *Imported) add(role string, r Rule, line int) {
	im.declare(role)
	im.places[fmt.Sprintf("roles.%s[%d]", role, len(im.Config.Roles[role]))] = line
	im.Config.Roles[role] = append(im.Config.Roles[role], r)
}

// give gives roles to a user.
func (im *Imported) give(user string, roles ...string) {
	if im.Config.Users == nil {
		im.Config.Users = make(map[string]User)
	}
	im.Config.Users[user] = User{Roles: roles}
}

func (im *Imported) warn(line, column int, format string, args ...any) {
	im.Warnings = append(im.Warnings, mistake(im.file, line, column, format, args...))
}

func mistake(file string, line, column int, format string, args ...any) *config.Error {
	return &config.Error{File: file, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// finish returns what was read, or what is wrong with it, by line.
func (im *Imported) finish(errs config.Errors) (Imported, error) {
	for _, es := range []config.Errors{im.Warnings, errs} {
		slices.SortStableFunc(es, func(a, b *config.Error) int { return a.Line - b.Line })
	}
	if len(errs) > 0 {
		return Imported{}, errs
	}
	return *im, nil
}

// importedRole returns the name of the role for something that is called name
// in a file. The number n is no other's: two must not become one role.
func importedRole(kind, name string, n int) string {
	if !validRole.MatchString(name) {
		return "mosquitto-" + strconv.Itoa(n)
	}
	return "mosquitto-" + kind + "-" + name
}

// all are the filters of all topics that clients can have something to do with.
var all = []string{"#", "$SYS/#"}

// own replaces what stands for a name by what stands for any, to see whether
// filters overlap for somebody.
func own(filter string) string {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if level == "%u" || level == "%c" {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// YAML returns a configuration with the rules, and with the place from which each
// comes.
func (im *Imported) YAML() []byte {
	var b bytes.Buffer
	c := im.Config
	b.WriteString("access:\n  roles:\n")
	for _, role := range slices.Sorted(maps.Keys(c.Roles)) {
		fmt.Fprintf(&b, "    %q:\n", role)
		for i, r := range c.Roles[role] {
			path := fmt.Sprintf("roles.%s[%d]", role, i)
			fmt.Fprintf(&b, "      # %q\n      - %s\n", im.Where(path), strings.Join(r.yaml(), "\n        "))
		}
	}
	b.WriteString("  users:\n")
	for _, user := range slices.Sorted(maps.Keys(c.Users)) {
		fmt.Fprintf(&b, "    %q: {roles: %s}\n", user, list(c.Users[user].Roles))
	}
	fmt.Fprintf(&b, "  everyone: %s\n  anonymous: %s\n", list(c.Everyone), list(c.Anonymous))
	return b.Bytes()
}

// yaml returns the keys of r, each on its line.
func (r Rule) yaml() (lines []string) {
	if len(r.Allow) > 0 {
		lines = append(lines, "allow: "+list(r.Allow))
	}
	if len(r.Deny) > 0 {
		lines = append(lines, "deny: "+list(r.Deny))
	}
	if len(r.Topics) > 0 {
		lines = append(lines, "topics: "+list(r.Topics))
	}
	return lines
}

// list writes texts in brackets. Go's escapes are YAML's, too (YAML 1.2, section
// 5.7).
func list[S ~string](items []S) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = strconv.Quote(string(s))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
