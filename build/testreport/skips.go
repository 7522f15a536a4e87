package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// skips says why a test may be skipped.
type skips map[name]string

// parseSkips reads lines of package, test and reason; # starts a comment.
func parseSkips(r io.Reader) (skips, error) {
	allowed := skips{}
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		line, _, _ := strings.Cut(s.Text(), "#")
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case len(f) < 3:
			return nil, fmt.Errorf("line %d: %q is not a package, a test and a reason", n, line)
		default:
			allowed[name{f[0], f[1]}] = strings.Join(f[2:], " ")
		}
	}
	return allowed, s.Err()
}

// reason says why n may be skipped, itself or as the subtest of another.
func (s skips) reason(n name) (string, bool) {
	for test := n.Test; ; {
		if why, ok := s[name{n.Package, test}]; ok {
			return why, true
		}
		i := strings.LastIndex(test, "/")
		if i < 0 {
			return "", false
		}
		test = test[:i]
	}
}
