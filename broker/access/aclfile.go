package access

import (
	"slices"
	"strings"
	"unicode/utf8"

	"edge/internal/config"
	"edge/internal/topic"
)

// The roles of what an ACL file says to all.
const (
	aclEveryone  = "mosquitto-everyone"
	aclAnonymous = "mosquitto-anonymous"
)

// ReadACLFile reads what mosquitto has as acl_file. Name is for messages. The
// rules mean the same, but for what is in the warnings; a file without rules
// allows nothing. The error is of type config.Errors and has all mistakes.
func ReadACLFile(name string, data []byte) (Imported, error) {
	r := aclReader{im: Imported{file: name}, role: aclAnonymous}
	n := 0
	for text := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		n++
		r.line(n, strings.TrimRight(text, "\r\n\t "))
	}
	r.finish()
	return r.im.finish(r.errs)
}

type aclReader struct {
	im   Imported
	errs config.Errors
	role string // of `topic` lines

	reads    int        // the first line that lets somebody read; 0 if there is none
	allowed  []aclTopic // by `topic` lines
	patterns []aclTopic // that deny
}

type aclTopic struct {
	filter string
	line   int
}

// A word is a part of a line, and from which column it is.
type word struct {
	text string
	col  int
}

// cut returns the first word of w and what is behind it.
func (w word) cut() (first, rest word) {
	w = w.trim()
	end := strings.IndexAny(w.text, " \t")
	if end < 0 {
		end = len(w.text)
	}
	first = word{w.text[:end], w.col}
	return first, word{w.text[end:], w.col + utf8.RuneCountInString(first.text)}.trim()
}

func (w word) trim() word {
	text := strings.TrimLeft(w.text, " \t")
	return word{text, w.col + len(w.text) - len(text)}
}

func (r *aclReader) errorf(line int, at word, format string, args ...any) {
	r.errs = append(r.errs, mistake(r.im.file, line, at.col, format, args...))
}

func (r *aclReader) line(n int, text string) {
	keyword, rest := word{text, 1}.cut()
	switch {
	case keyword.text == "" || keyword.text[0] == '#':
	case !utf8.ValidString(text):
		r.errorf(n, keyword, "this line is not UTF-8")
	case rest.text == "" && slices.Contains([]string{"user", "topic", "pattern"}, keyword.text):
		r.errorf(n, keyword, "nothing follows %s", keyword.text)
	case keyword.text == "user":
		r.user(n, rest)
	case keyword.text == "topic" || keyword.text == "pattern":
		r.rule(n, keyword.text == "pattern", rest)
	default:
		r.errorf(n, keyword, "a line begins with user, topic, pattern or #, not with %q", keyword.text)
	}
}

// user begins the topics of a user. One may have several such parts.
func (r *aclReader) user(n int, name word) {
	if u, ok := r.im.Config.Users[name.text]; ok {
		r.role = u.Roles[0]
		return
	}
	r.role = importedRole("user", name.text, n)
	r.im.give(name.text, r.role)
	r.im.declare(r.role)
}

// aclRules are the words for what may be done. Mosquitto's denials are looked at
// first, as ours are, but leave subscribing alone.
var aclRules = map[string]Rule{
	"read":      {Allow: []Verb{Read}},
	"write":     {Allow: []Verb{"publish"}},
	"readwrite": {Allow: []Verb{"publish", Read}},
	"deny":      {Deny: []Verb{"publish", "receive"}},
}

// rule reads what follows topic or pattern.
func (r *aclReader) rule(n int, pattern bool, rest word) {
	access, filter := rest.cut()
	if filter.text == "" {
		access.text, filter = "readwrite", access
	}
	rule, ok := aclRules[access.text]
	if !ok {
		r.errorf(n, access, "there is no access %q: want read, write, readwrite or deny, and then the topic", access.text)
		return
	}
	if err := checkFilter(filter.text); err != nil {
		r.errorf(n, filter, "%v", err)
		return
	}
	if !pattern && own(filter.text) != filter.text {
		r.errorf(n, filter, "mosquitto takes %%u and %%c for text in a topic line, and here they are names; is `pattern` meant?")
		return
	}
	rule.Topics = []string{filter.text}
	r.add(n, pattern, rule)
}

func (r *aclReader) add(n int, pattern bool, rule Rule) {
	role := r.role
	if pattern {
		role = aclEveryone
	}
	r.im.add(role, rule, n)
	at := aclTopic{rule.Topics[0], n}
	if r.reads == 0 && slices.Contains(rule.Allow, Read) {
		r.reads = n
	}
	switch {
	case pattern && len(rule.Deny) > 0:
		r.patterns = append(r.patterns, at)
	case !pattern && len(rule.Allow) > 0:
		r.allowed = append(r.allowed, at)
	}
}

// finish says who has which role, and adds what mosquitto does unasked.
func (r *aclReader) finish() {
	if r.reads > 0 {
		r.im.add(aclEveryone, Rule{Allow: []Verb{"subscribe"}, Topics: all}, r.reads)
		r.im.warn(r.reads, 1, "mosquitto lets all clients subscribe to everything, and delivers what they may read; "+
			"role %s keeps it so. Without its last rule, clients subscribe to what they may read only", aclEveryone)
	}
	for _, p := range r.patterns {
		i := slices.IndexFunc(r.allowed, func(a aclTopic) bool { return topic.Overlap(own(p.filter), a.filter) })
		if i >= 0 {
			r.im.warn(p.line, 1, "denies here what line %d allows; in mosquitto a topic of the user is above a pattern", r.allowed[i].line)
		}
	}
	if _, ok := r.im.Config.Roles[aclEveryone]; ok {
		r.im.Config.Everyone = []string{aclEveryone}
	}
	if _, ok := r.im.Config.Roles[aclAnonymous]; ok {
		r.im.Config.Anonymous = []string{aclAnonymous}
	}
}
