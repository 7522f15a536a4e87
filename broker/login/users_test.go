package login

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/internal/config"
)

// quick is a cost for tests.
var quick = Cost{KiB: 8, Passes: 1, Lanes: 1}

const (
	hashA = "$sha256-random$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	when  = "2026-11-27T12:00:00Z"
)

func TestParseUsers(t *testing.T) {
	tests := []struct{ text, want string }{ // names, or mistakes with their places
		{"", ""},
		{"# nobody\n\n  \n", ""},
		{"b:on::" + hashA + ":" + when + "\r\na:off:x,y:" + hashA + ":" + when, "a b"},
		{"anna maria:on::" + hashA + ":" + when + "\n", "anna maria"},
		{"häuschen@home:on::" + hashA + ":" + when + "\n", "häuschen@home"},

		{"a\n", "1:1: has 1 parts"},
		{"a:on::" + hashA + "\n", "1:1: has 4 parts"},
		{":on::" + hashA + ":" + when, "1:1: a user needs a name"},
		{"$SYS:on::" + hashA + ":" + when, "1:1: the user's name begins with $"},
		{"a/b:on::" + hashA + ":" + when, "1:1: the user's name has '/'"},
		{"a+:on::" + hashA + ":" + when, "1:1: the user's name has '+'"},
		{"a#:on::" + hashA + ":" + when, "1:1: the user's name has '#'"},
		{" a:on::" + hashA + ":" + when, "1:1: the user's name begins or ends"},
		{"a\x00:on::" + hashA + ":" + when, `1:1: the user's name has '\x00'`},
		{"a\xff:on::" + hashA + ":" + when, "1:1: the user's name is not UTF-8"},
		{strings.Repeat("a", 129) + ":on::" + hashA + ":" + when, "1:1: the user's name has 129 bytes"},
		{"ä:yes::" + hashA + ":" + when, "1:3: must be on or off"},
		{"a:on:Admin:" + hashA + ":" + when, `1:6: role "Admin"`},
		{"a:on:x,:" + hashA + ":" + when, `1:6: role ""`},
		{"a:on::hunter2:" + when, "1:7: this is no hash"},
		{"a:on::" + hashA + ":now", fmt.Sprintf("1:%d: must be the time", 8+len(hashA))},
		{"a:on::" + hashA + ":" + when + "\na:on::" + hashA + ":" + when, "2:1: user a is in line 1 already"},
		{"a\nb\n", "1:1: has 1 parts, not the 5 of NAME:on|off:ROLES:HASH:CREATED\nusers:2:1: has"},
	}
	for _, tt := range tests {
		us, err := ParseUsers("users", []byte(tt.text))
		got := strings.Join(names(us), " ")
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "users:")
		}
		if got != tt.want && (err == nil || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("ParseUsers(%q) = %q, want %q", tt.text, got, tt.want)
		}
		if err != nil && us != nil {
			t.Errorf("ParseUsers(%q) has mistakes and users", tt.text)
		}
	}
}

func names(us Users) []string {
	var names []string
	for _, u := range us {
		names = append(names, u.Name)
	}
	return names
}

func TestParseUsersStopsAtManyMistakes(t *testing.T) {
	_, err := ParseUsers("users", bytes.Repeat([]byte("x\n"), 1000))
	if errs, _ := errors.AsType[config.Errors](err); len(errs) != maxMistake {
		t.Errorf("%d mistakes, want %d", len(errs), maxMistake)
	}
}

func TestParseMosquitto(t *testing.T) {
	const hash = "$7$101$UjhYRTvyHwA1nSH7$WcJRhZRCzHJCOtEsS3RcwvTrPXw5x+4+ZcYVqcL4x90wSITyPvrQ+lXSS4Wk4kB3bg6RH7eQja3KtiQUxmElbg=="
	tests := []struct{ text, want string }{
		{"u:" + hash + "\n", "u"},
		{"# comment\nu:" + hash + "\nv:" + foreign[2].hash + "\n", "u v"},
		{"u\n", "1:1: has no colon"},
		{"u:\n", "1:3: this is no hash"},
		{"u:" + planted + "\n", "1:3: this is no hash"},
		{"u:" + hash[:60] + "\n", "1:3: the last part of the hash"},
		{"u:" + hash + ":1\n", "1:3: the last part of the hash"},
		{"u:" + hashA + "\n", "1:3: sha256-random is no hash of mosquitto"},
		{":" + hash + "\n", "1:1: a user needs a name"},
		{"+/#:" + hash + "\n", "1:1: the user's name has '+'"},
	}
	for _, tt := range tests {
		us, err := ParseMosquitto("pw", []byte(tt.text), []string{"b", "a", "b"}, time.Unix(1e9, 5))
		got := strings.Join(names(us), " ")
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "pw:")
		}
		if got != tt.want && (err == nil || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("ParseMosquitto(%q) = %q, want %q", tt.text, got, tt.want)
		}
		if strings.Contains(got, planted) {
			t.Errorf("a password is in the error: %q", got)
		}
		for _, u := range us {
			if !slices.Equal(u.Roles, []string{"a", "b"}) || !u.Created.Equal(time.Unix(1e9, 0)) {
				t.Errorf("user %+v", u)
			}
		}
	}
}

const planted = "a password that nobody hashed"

func FuzzUsers(f *testing.F) {
	f.Add([]byte("# x\nb:on::" + hashA + ":" + when + "\r\na:off:x,y:" + hashA + ":" + when))
	f.Add([]byte("a:on::" + foreign[2].hash + ":" + when + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		us, err := ParseUsers("users", data)
		if err != nil {
			return
		}
		text, _ := us.AppendText(nil)
		again, err := ParseUsers("users", text)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, text)
		}
		if text2, _ := again.AppendText(nil); !bytes.Equal(text, text2) {
			t.Errorf("%s\nbecomes\n%s", text, text2)
		}
	})
}

func FuzzMosquitto(f *testing.F) {
	for _, tt := range foreign {
		f.Add([]byte("u:" + tt.hash + "\n"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		us, err := ParseMosquitto("pw", data, nil, time.Unix(0, 0))
		if err != nil {
			return
		}
		text, _ := us.AppendText(nil)
		if again, err := ParseUsers("users", text); err != nil || len(again) != len(us) {
			t.Errorf("%d users, read back %d: %v\n%s", len(us), len(again), err, text)
		}
	})
}

func TestUsersAreChangedByCopies(t *testing.T) {
	a, b := User{Name: "a"}, User{Name: "b"}
	one := Users(nil).With(b)
	two := one.With(a)
	off := two.With(User{Name: "a", Disabled: true})
	none := off.Without("a").Without("b").Without("c")
	if len(one) != 1 || !slices.Equal(names(two), []string{"a", "b"}) || len(none) != 0 {
		t.Errorf("%v, %v, %v", one, two, none)
	}
	before, _ := two.Find("a")
	after, _ := off.Find("a")
	if before.Disabled || !after.Disabled {
		t.Errorf("%v became %v", before, after)
	}
}

func TestFileIsKeptPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	add(t, path, "a")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %v: %v", mode, err)
		}
		if err := Edit(t.Context(), path, func(us Users) (Users, error) { return us, nil }); err == nil {
			t.Errorf("mode %v: is edited", mode)
		}
	}
}

func add(t *testing.T, path, name string) {
	t.Helper()
	err := Edit(t.Context(), path, func(us Users) (Users, error) {
		return us.With(User{Name: name, Hash: HashGenerated(NewSecret(name)), Created: time.Unix(1e9, 0)}), nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEditsDoNotLoseEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { add(t, path, fmt.Sprint("user", i)) })
	}
	all.Wait()
	us, err := Load(path)
	if err != nil || len(us) != 20 {
		t.Errorf("%d users, want 20: %v", len(us), err)
	}
}

func TestEditThatIsRefusedChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	add(t, path, "a")
	if err := os.WriteFile(path+".new", []byte("left by a power cut"), 0o644); err != nil {
		t.Fatal(err)
	}
	add(t, path, "b")
	no := errors.New("no")
	if err := Edit(t.Context(), path, func(Users) (Users, error) { return nil, no }); !errors.Is(err, no) {
		t.Errorf("Edit: %v", err)
	}
	us, err := Load(path)
	if err != nil || !slices.Equal(names(us), []string{"a", "b"}) {
		t.Errorf("%v, %v", names(us), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestEditWaitsNoLongerThanItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	err := Edit(t.Context(), path, func(us Users) (Users, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		return us, Edit(ctx, path, func(us Users) (Users, error) { return us, nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Edit: %v", err)
	}
}

func TestLoadWithoutAFile(t *testing.T) {
	us, err := Load(filepath.Join(t.TempDir(), "users"))
	if err != nil || len(us) != 0 {
		t.Errorf("%v, %v", us, err)
	}
}
