package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// privileges are what the process may do beyond what serving needs. They go in
// three steps: harden at once; shed before anything but the data directory is
// opened, so that what opens at the start opens at a reload, too; settle when all
// addresses are open, those that wait for a user as well. Why so, decision 11 says. What was asked for must succeed;
// what was not is warned about, since a hub with its relays is better than none.
type privileges struct {
	log      *slog.Logger
	user     string // whom to become; empty is to stay
	lowPorts bool   // a reload may open ports below 1024
	toldC    bool   // of errC
	settled  bool
}

// harden gives up what no hub needs: files that others can read, core files with
// keys and passwords in them, and programs that give privileges when they are run.
func (p *privileges) harden() {
	unix.Umask(0o077)
	none := unix.Rlimit{}
	p.warn(errors.Join(
		unix.Setrlimit(unix.RLIMIT_CORE, &none),
		prctl(unix.PR_SET_NO_NEW_PRIVS, 1),
	))
}

// shed makes dirs those of the user to become, becomes that user, keeps no capability
// but that to open ports below 1024, and cannot be looked into by other processes.
func (p *privileges) shed(dirs ...string) error {
	next, err := p.next(dirs[0])
	if err != nil {
		return err
	}
	p.warn(emptyBounds())
	if next != nil {
		if err := next.become(dirs); err != nil {
			return fmt.Errorf("become user %s: %w", p.user, err)
		}
	}
	// Last, since to change who one is makes it what fs.suid_dumpable says.
	p.warn(errors.Join(keepCapabilities(bindLowPorts), unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)))
	return nil
}

// settle gives up the rest.
func (p *privileges) settle() {
	if !p.lowPorts && !p.settled {
		p.settled = true
		p.warn(keepCapabilities(0))
	}
}

// drop gives up everything at once, for a process that has opened all that it needs
// rights for. It becomes next if root has started it; nil is to stay who one is.
func (p *privileges) drop(next *account) error {
	p.warn(emptyBounds())
	if next != nil && os.Geteuid() == 0 && next.uid != 0 {
		if err := next.become(nil); err != nil {
			return fmt.Errorf("become user %s: %w", p.user, err)
		}
	}
	p.warn(errors.Join(keepCapabilities(0), unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)))
	return nil
}

func (p *privileges) warn(err error) {
	ofC := errors.Is(err, errC)
	if err == nil || ofC && p.toldC {
		return
	}
	p.toldC = p.toldC || ofC
	p.log.Warn("runs with privileges that it does not need", "err", err)
}

// next returns the account to become, nil to stay who one is.
func (p *privileges) next(data string) (*account, error) {
	uid := os.Geteuid()
	if p.user == "" {
		if uid == 0 {
			p.log.Warn("runs as root, which it need not: make a user for it (useradd --system --groups gpio,dialout edge) and name it with user")
		}
		return nil, mayStay(uid, data)
	}
	a, err := findAccount(p.user)
	switch {
	case err != nil:
		return nil, err
	case a.uid == uid:
		return nil, mayStay(uid, data)
	case uid != 0:
		return nil, fmt.Errorf("become user %s: only root can; start the hub as root or as %s, or leave user out", p.user, p.user)
	}
	return a, nil
}

// mayStay refuses root a directory of somebody else: without capabilities root may
// not write there, and with them would leave files that the owner cannot read.
func mayStay(uid int, dir string) error {
	owner, err := ownerOf(dir)
	if err != nil || uid != 0 || owner == 0 {
		return err
	}
	name := accountName(owner)
	return fmt.Errorf("data directory %s belongs to user %s: run the hub as that user, with --user %s or `user: %s` in the configuration", dir, name, name, name)
}

// whose explains an error of access that the user can do something about.
func (p *privileges) whose(err error) error {
	if p == nil || p.user == "" || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w; the hub is user %s, who must have access", err, p.user)
}

// shed gives up privileges, with what root may have made for the hub: where data
// is, and a folder of systemd.
func (n *node) shed(p *plan) error {
	if n.rights == nil {
		return nil
	}
	dirs := []string{p.Data}
	if dir := env("RUNTIME_DIRECTORY"); dir != "" {
		dirs = append(dirs, dir)
	}
	if err := n.rights.shed(dirs...); err != nil {
		return err
	}
	if n.read == nil {
		return nil
	}
	if _, err := n.read(); errors.Is(err, fs.ErrPermission) {
		n.log.Warn("a reload will not find the configuration: it could be read by root only", "err", n.rights.whose(err))
	}
	return nil
}

// settle gives up what is left when no address is to be opened any more for which it
// is needed.
func (n *node) settle() {
	if n.rights != nil && !n.server.HoldsLowPort() {
		n.rights.settle()
	}
}
