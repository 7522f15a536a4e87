package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// lay makes files and folders in dir: those that end with a slash are folders, "a -> b"
// is a symbolic link, "a = b" another name of a file, "a|" a pipe, "a@1" user 1's.
func lay(t *testing.T, dir string, names []string) {
	t.Helper()
	for _, name := range names {
		link, target, symbolic := strings.Cut(name, " -> ")
		hard, same, second := strings.Cut(name, " = ")
		theirs, uid, given := strings.Cut(name, "@")
		var err error
		switch at := filepath.Join(dir, name); {
		case symbolic:
			err = os.Symlink(target, filepath.Join(dir, link))
		case second:
			err = os.Link(filepath.Join(dir, same), filepath.Join(dir, hard))
		case given:
			n, bad := strconv.Atoi(uid)
			at = filepath.Join(dir, theirs)
			err = errors.Join(bad, os.WriteFile(at, nil, 0o600), os.Chown(at, n, n))
		case strings.HasSuffix(name, "|"):
			err = syscall.Mkfifo(strings.TrimSuffix(at, "|"), 0o600)
		case strings.HasSuffix(name, "/"):
			err = os.Mkdir(at, 0o700)
		default:
			err = os.WriteFile(at, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// given returns what in dir belongs to the user uid; dir itself is ".".
func given(t *testing.T, dir string, uid int) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		info, bad := os.Lstat(path)
		if err := errors.Join(err, bad); err != nil {
			return err
		}
		if name, err := filepath.Rel(dir, path); err == nil && int(info.Sys().(*syscall.Stat_t).Uid) == uid {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What root has in a data directory becomes the user's, and nothing else, whatever
// has been put there to lead root astray.
func TestTakeOver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const user, other = 4711, 4712
	for name, tt := range map[string]struct {
		owner int      // of the directory
		has   []string // in the folder in which the directory is data/
		want  []string // what the user owns in it then
		err   string
	}{
		"all that is the hub's": {0, []string{"data/lock", "data/users", "data/journal/", "data/journal/segment-1.log", "data/tls/", "data/tls/ca.key"}, []string{".", "journal", "journal/segment-1.log", "lock", "tls", "tls/ca.key", "users"}, ""},
		"what root has added":   {user, []string{"data/users", "data/notes"}, []string{".", "users"}, ""},
		"links that lead out":   {user, []string{"shadow", "data/users -> ../shadow", "data/journal -> .."}, []string{"."}, ""},
		"links below a folder":  {user, []string{"etc/", "etc/shadow", "data/journal/", "data/journal/segment-1.log -> ../../etc/shadow", "data/journal/etc -> ../../etc"}, []string{".", "journal"}, ""},
		"second names":          {user, []string{"shadow", "data/users = shadow"}, []string{"."}, ""},
		"a third user's":        {user, []string{"data/users@4712", "data/lock@4711"}, []string{".", "lock"}, ""},
		"a pipe":                {user, []string{"data/journal/", "data/journal/pipe|"}, []string{".", "journal"}, ""},
		"the root of a disk":    {0, []string{"data/lost+found/"}, []string{".", "lost+found"}, ""},
		"a directory of others": {0, []string{"data/lock", "data/passwd"}, nil, "has passwd in it, which no hub has made"},
		"another user's":        {other, []string{"data/lock"}, nil, "belongs to user 4712; chown -R"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			data := filepath.Join(dir, "data")
			lay(t, dir, append([]string{"data/"}, tt.has...))
			if err := os.Chown(data, tt.owner, tt.owner); err != nil {
				t.Fatal(err)
			}
			err := (&account{uid: user, gid: user}).takeOver(data)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			got := given(t, data, user)
			if !slices.Equal(got, tt.want) {
				t.Errorf("it has become the user's: %v, want %v", got, tt.want)
			}
			if all := given(t, dir, user); len(all) != len(got) {
				t.Errorf("outside of the directory, too: %v", all)
			}
		})
	}
}

func TestFindAccount(t *testing.T) {
	for name, want := range map[string]account{
		"root":   {0, 0, []int{0}},
		"nobody": {65534, 65534, []int{65534}},
		"4711":   {4711, 4711, []int{4711}},
	} {
		a, err := findAccount(name)
		if err != nil || a.uid != want.uid || a.gid != want.gid || !slices.Contains(a.groups, want.groups[0]) {
			t.Errorf("findAccount(%q) = %+v, %v, want %+v", name, a, err, want)
		}
	}
	for _, name := range []string{"no-such-user", "-1", "4294967296", ""} {
		if a, err := findAccount(name); err == nil || !strings.Contains(err.Error(), "useradd") {
			t.Errorf("findAccount(%q) = %+v, %v", name, a, err)
		}
	}
}
