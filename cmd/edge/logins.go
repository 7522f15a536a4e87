package main

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"

	"edge/broker"
	"edge/broker/login"
)

// logins are the broker's view of the users file.
type logins struct {
	file     string
	log      *slog.Logger
	verifier *login.Verifier
	memory   *login.Memory
	users    atomic.Pointer[login.Users]
}

var _ broker.Logins = (*logins)(nil)

// openLogins reads the users of a data directory.
func openLogins(data string, log *slog.Logger) (*logins, error) {
	users, err := login.Load(usersFile(data))
	if err != nil {
		return nil, err
	}
	memory := login.NewMemory()
	if dir := runtimeDir(); dir != "" {
		if memory, err = login.OpenMemory(dir); err != nil {
			log.Warn("after a restart, each password is hashed once more", "err", err)
		}
	}
	l := &logins{file: usersFile(data), log: log, verifier: login.NewVerifier(users, memory), memory: memory}
	l.verifier.Improved = func(name string, old, improved login.Hash) { go l.improve(name, old, improved) }
	l.users.Store(&users)
	return l, nil
}

// improve puts a better hash of the same password into the users file, unless the
// user has another password by now.
func (l *logins) improve(name string, old, improved login.Hash) {
	var users login.Users
	err := editUsers(context.Background(), l.file, func(us login.Users) (login.Users, error) {
		if u, ok := us.Find(name); ok && u.Hash.Encode() == old.Encode() {
			u.Hash = improved
			us = us.With(u)
		}
		users = us
		return us, nil
	})
	if err != nil {
		l.log.Warn("the hash of a password stays as it is", "user", name, "err", err)
		return
	}
	l.replace(users)
	l.log.Info("the password of a user was hashed anew, as is done today", "user", name)
}

// runtimeDir is where a service of systemd may keep what need not survive a boot;
// empty if this is none.
func runtimeDir() string {
	if dir := env("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "logins")
	}
	return ""
}

// replace makes users those who can log in.
func (l *logins) replace(users login.Users) {
	l.users.Store(&users)
	l.verifier.Replace(users)
}

func (l *logins) close() { _ = l.memory.Close() } // It has what it needs.

// Any implements broker.Logins.
func (l *logins) Any() bool { return len(*l.users.Load()) > 0 }

// Verify implements broker.Logins.
func (l *logins) Verify(ctx context.Context, from netip.Addr, user string, password []byte) error {
	_, err := l.verifier.Check(ctx, login.Attempt{User: user, Password: login.NewSecret(string(password)), From: from})
	return err
}

// RolesOf implements broker.Logins.
func (l *logins) RolesOf(user string) (roles []string, ok bool) {
	u, ok := l.users.Load().Find(user)
	if !ok || u.Disabled {
		return nil, false
	}
	return u.Roles, true
}
