package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// An account is a user of the machine.
type account struct {
	uid, gid int
	groups   []int
}

// findAccount looks for a name, or the number of a user that needs no name, as in
// a container.
func findAccount(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		uid, bad := strconv.ParseUint(name, 10, 31)
		if bad != nil {
			return nil, fmt.Errorf("there is no user %s on this machine: make one (useradd --system --groups gpio,dialout %s)", name, name)
		}
		return &account{int(uid), int(uid), []int{int(uid)}}, nil
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", name, err)
	}
	all, err := numbers(append([]string{u.Uid, u.Gid}, groups...))
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return &account{all[0], all[1], all[2:]}, nil
}

func numbers(texts []string) (all []int, err error) {
	for _, s := range texts {
		n, bad := strconv.Atoi(s)
		all, err = append(all, n), errors.Join(err, bad)
	}
	return all, err
}

func accountName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func ownerOf(name string) (uid int, err error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return int(st.Uid), nil
}

// become makes dirs those of the account, and the process the account's.
func (a *account) become(dirs []string) error {
	for _, dir := range dirs {
		if err := a.takeOver(dir); err != nil {
			return err
		}
	}
	// Without C, capabilities can be kept over the change of user, to open ports
	// below 1024; with it, they are lost.
	if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil && !errors.Is(err, errC) {
		return err
	}
	return errors.Join(syscall.Setgroups(a.groups), syscall.Setgid(a.gid), syscall.Setuid(a.uid))
}

// hubNames are what names of files and folders in the hub's own directories begin
// with; lost+found is in the root of a file system.
var hubNames = []string{lockName, "users", "journal", "tls", controlName, guardName, "audit", outputsName, "logins", "restore-", "lost+found"}

func isHubName(name string) bool {
	return slices.ContainsFunc(hubNames, func(s string) bool { return strings.HasPrefix(name, s) })
}

// takeOver makes the account's what root has in dir.
func (a *account) takeOver(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	if err := a.mayTake(root, entries); err != nil {
		return err
	}
	errs := []error{a.take(root, ".")}
	for _, e := range entries {
		// A link is to a store on another disk, which is given by hand.
		if isHubName(e.Name()) && e.Type() != fs.ModeSymlink {
			errs = append(errs, a.takeTree(root, e.Name()))
		}
	}
	return errors.Join(errs...)
}

// mayTake refuses a directory of somebody else, and one of root's that is not the
// hub's: it may be /etc, by mistake.
func (a *account) mayTake(root *os.Root, entries []fs.DirEntry) error {
	owner, err := ownerOf(root.Name())
	switch {
	case err != nil || owner == a.uid:
		return err
	case owner != 0:
		return fmt.Errorf("%s belongs to user %s; chown -R it, or name another one", root.Name(), accountName(owner))
	}
	for _, e := range entries {
		// Sockets of the broker are made anew.
		if !isHubName(e.Name()) && e.Type() != fs.ModeSocket {
			return fmt.Errorf("%s has %s in it, which no hub has made; give the hub a directory of its own, or chown this one", root.Name(), e.Name())
		}
	}
	return nil
}

func (a *account) takeTree(root *os.Root, top string) error {
	return fs.WalkDir(root.FS(), top, func(name string, d fs.DirEntry, err error) error {
		if err == nil && (d.IsDir() || d.Type().IsRegular()) {
			err = a.take(root, name)
		}
		return err
	})
}

// take gives a file or folder of root's to the account. Who can write into a
// directory can put links into it: those that lead out are not followed, and a file
// that has another name somewhere stays root's.
func (a *account) take(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // It may be a pipe by now.
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	linked := st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1
	if st.Uid != 0 || linked {
		return nil
	}
	return f.Chown(a.uid, a.gid)
}
