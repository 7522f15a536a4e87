package main

import (
	"path/filepath"

	"edge/broker/login"
)

// usersVerb asks the hub to read its users again.
const usersVerb = "users"

func usersFile(data string) string { return filepath.Join(data, "users") }

// reloadUsers makes those in the users file the ones who can log in. A file with
// mistakes changes nothing.
func (n *node) reloadUsers(by author) reply {
	users, err := login.Load(n.logins.file)
	if err != nil {
		n.log.Error("users not read; those of before can log in", "err", err)
		return reply{Error: err.Error()}
	}
	if err := n.audit.writeUsers(by, *n.logins.users.Load(), users); err != nil {
		n.log.Error("a change of users is not in the audit", "who", by.Who, "err", err)
	}
	n.logins.replace(users)
	n.server.UsersChanged()
	n.settle()
	n.log.Info("users read", "count", len(users))
	return reply{OK: true}
}
