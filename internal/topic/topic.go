// Package topic checks MQTT topic names and filters, matches the one with the
// other, and keeps indexes of both. It knows no sessions and no messages.
package topic

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// SharePrefix begins the filter of a shared subscription (MQTT 5.0, section
// 4.8.2): $share/GROUP/FILTER.
const SharePrefix = "$share/"

// ErrShare is what is wrong with a filter that has the form of one, but not that
// of a shared subscription.
var ErrShare = errors.New("a shared subscription is $share/GROUP/FILTER, and GROUP has no wildcards")

// CheckName reports what is wrong with s as a topic name to publish to (MQTT
// 5.0, section 4.7).
func CheckName(s string) error {
	if err := check(s); err != nil {
		return fmt.Errorf("topic name %s: %w", quote(s), err)
	}
	if i := strings.IndexAny(s, "+#"); i >= 0 {
		return fmt.Errorf("topic name %s: wildcard %q at byte %d; only filters may have wildcards", quote(s), s[i], i)
	}
	return nil
}

// CheckFilter reports what is wrong with s as a topic filter to subscribe to
// (MQTT 5.0, sections 4.7.1 and 4.8.2).
func CheckFilter(s string) error {
	if err := checkFilter(s); err != nil {
		return fmt.Errorf("topic filter %s: %w", quote(s), err)
	}
	return nil
}

func checkFilter(s string) error {
	if err := check(s); err != nil {
		return err
	}
	for rest, more := s, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "#" && more:
			return errors.New("# must be the last level")
		case level != "#" && level != "+" && strings.ContainsAny(level, "+#"):
			return fmt.Errorf("a wildcard must be a whole level, not part of %s", quote(level))
		}
	}
	if group, filter := Share(s); strings.HasPrefix(s, SharePrefix) && (group == "" || filter == "" || group == "+") {
		return ErrShare
	}
	return nil
}

// check holds what names and filters have in common (section 4.7.3).
func check(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > 65535:
		return fmt.Errorf("has %d bytes, more than 65535", len(s))
	case strings.IndexByte(s, 0) >= 0:
		return errors.New("contains U+0000")
	case !utf8.ValidString(s):
		return errors.New("is not UTF-8")
	case !Printable(s):
		return errors.New("contains a control character or a non-character")
	}
	return nil
}

// Printable reports whether s, which is UTF-8, is free of control characters and
// non-characters, which a server may refuse (MQTT 5.0, section 1.5.4): a name
// that has them reads like another one in lists and logs.
func Printable(s string) bool {
	for _, r := range s {
		switch {
		case r < ' ', r >= 0x7F && r <= 0x9F: // Control characters.
			return false
		case r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE: // Non-characters.
			return false
		}
	}
	return true
}

// quote keeps a stranger's long topic out of the log.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// Levels returns the number of levels of a name or filter.
func Levels(s string) int { return strings.Count(s, "/") + 1 }

// Share splits the filter of a shared subscription. For any other filter group
// is empty.
func Share(filter string) (group, rest string) {
	if !strings.HasPrefix(filter, SharePrefix) {
		return "", filter
	}
	group, rest, _ = strings.Cut(filter[len(SharePrefix):], "/")
	return group, rest
}

// Match reports whether filter, which is not a shared one, matches name. A
// filter that begins with a wildcard does not match a name that begins with $
// (section 4.7.2).
func Match(filter, name string) bool {
	if elsewhere(filter, name) {
		return false
	}
	for {
		f, frest, fmore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		n, nrest, nmore := strings.Cut(name, "/")
		if f != "+" && f != n {
			return false
		}
		if !nmore { // "a/#" matches "a" (section 4.7.1.2).
			return !fmore || frest == "#"
		}
		if !fmore {
			return false
		}
		filter, name = frest, nrest
	}
}

// Contains reports whether outer matches every name that inner matches. Neither
// is a shared one. A name is a filter that matches nothing but itself: for names
// Contains is Match.
func Contains(outer, inner string) bool {
	if elsewhere(outer, inner) {
		return false
	}
	if inner == "#" {
		inner = "+/#" // The same: a name has at least one level.
	}
	for {
		o, orest, omore := strings.Cut(outer, "/")
		if o == "#" {
			return true
		}
		i, irest, imore := strings.Cut(inner, "/")
		if i == "#" || o != "+" && o != i {
			return false
		}
		if !imore {
			return !omore || orest == "#"
		}
		if !omore {
			return false
		}
		outer, inner = orest, irest
	}
}

// Overlap reports whether there is a name that both filters match. Neither is a
// shared one.
func Overlap(a, b string) bool {
	if elsewhere(a, b) || elsewhere(b, a) {
		return false
	}
	for {
		x, xrest, xmore := strings.Cut(a, "/")
		y, yrest, ymore := strings.Cut(b, "/")
		switch {
		case x == "#" || y == "#":
			return true
		case x != "+" && y != "+" && x != y:
			return false
		case !xmore:
			return !ymore || yrest == "#"
		case !ymore:
			return xrest == "#"
		}
		a, b = xrest, yrest
	}
}

// elsewhere reports whether s, a name or filter, begins with $ and filter does
// not: then they have nothing in common (section 4.7.2).
func elsewhere(filter, s string) bool {
	return s != "" && s[0] == '$' && filter != "" && filter[0] != '$'
}
