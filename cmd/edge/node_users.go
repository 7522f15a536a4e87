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
func (n *node) reloadUsers() reply {
	users, err := login.Load(usersFile(n.plan.Data))
	if err != nil {
		n.log.Error("users not read; those of before can log in", "err", err)
		return reply{Error: err.Error()}
	}
	n.logins.replace(users)
	n.server.UsersChanged()
	n.log.Info("users read", "count", len(users))
	return reply{OK: true}
}
