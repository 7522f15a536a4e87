package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/broker/login"
)

func TestUserChanges(t *testing.T) {
	one, two := login.HashGenerated(login.GenerateSecret()), login.HashGenerated(login.GenerateSecret())
	anna := login.User{Name: "anna", Hash: one, Roles: []string{"admin"}}
	var before login.Users
	before = before.With(anna).With(login.User{Name: "otto", Hash: one})
	for _, tt := range []struct {
		name  string
		after func(login.Users) login.Users
		want  []change
	}{
		{"nothing", func(us login.Users) login.Users { return us }, nil},
		{"added", func(us login.Users) login.Users { return us.With(login.User{Name: "eva", Roles: []string{"a", "b"}}) }, []change{{"user added", "eva", "roles a,b"}}},
		{"removed", func(us login.Users) login.Users { return us.Without("otto") }, []change{{"user removed", "otto", ""}}},
		{"another password", func(us login.Users) login.Users { a := anna; a.Hash = two; return us.With(a) }, []change{{"password changed", "anna", ""}}},
		{"off, and without roles", func(us login.Users) login.Users {
			a := anna
			a.Disabled, a.Roles = true, nil
			return us.With(a)
		}, []change{{"roles changed", "anna", "roles "}, {"user disabled", "anna", ""}}},
	} {
		if got := userChanges(before, tt.after(before)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestAudit writes to an audit until it is too large, and over what a power cut has
// left of a line.
func TestAudit(t *testing.T) {
	l := auditLog{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	names := l.trail().files()
	old := bytes.Repeat([]byte("x"), maxTrail-200)
	if err := os.WriteFile(names[1], append(old, "\n{\"time\":\"20"...), 0o600); err != nil {
		t.Fatal(err)
	}
	by := author{Who: "anna", From: "192.0.2.1:1"}
	for i := range 3 {
		l.note(by, change{What: "user added", About: fmt.Sprint(i)}, nil)
	}
	l.note(by, change{What: "user removed", About: strings.Repeat("e", 5000)}, errors.New("there is\nnone"))
	lines, bad, err := l.read()
	if err != nil || bad != 2 || len(lines) != 4 {
		t.Fatalf("%d lines, %d others, %v; want 4 lines and 2 others", len(lines), bad, err)
	}
	for i, line := range lines[:3] {
		if line.author != by || line.About != fmt.Sprint(i) || line.Outcome != "done" || time.Since(line.Time) > time.Hour {
			t.Errorf("line %d is %+v", i, line)
		}
	}
	if lines[3].Outcome != "there is\nnone" || len(lines[3].About) != maxAuditText {
		t.Errorf("the last line is %+v", lines[3])
	}
	for _, name := range names {
		if st, err := os.Stat(name); err != nil || st.Size() > maxTrail || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
}

// TestAuditOfMany has a change of many users be one line.
func TestAuditOfMany(t *testing.T) {
	l := auditLog{dir: t.TempDir()}
	var many login.Users
	for i := range maxUserLines + 1 {
		many = many.With(login.User{Name: fmt.Sprintf("u%d", i)})
	}
	if err := l.writeUsers(author{}, nil, many); err != nil {
		t.Fatal(err)
	}
	if lines, _, _ := l.read(); len(lines) != 1 || !strings.HasPrefix(lines[0].Detail, "21 changes") {
		t.Errorf("the audit has %+v", lines)
	}
}

// TestAuditTells has a log say what the audit cannot.
func TestAuditTells(t *testing.T) {
	var log syncBuffer
	l := auditLog{dir: t.TempDir() + "/gone", log: slog.New(slog.NewTextHandler(&log, nil))}
	l.note(author{Who: "anna"}, change{What: "user added"}, nil)
	if !strings.Contains(log.String(), "a change is not in the audit") {
		t.Errorf("the log says %q", log.String())
	}
}
