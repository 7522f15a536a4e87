package login

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ParseMosquitto reads a password_file of mosquitto; name is for messages. The
// users have roles and are created at now. Everything that mosquitto would skip
// or take for a password is a mistake with its place (CVE-2018-12551: there, a
// malformed line let people in), and the error is as ParseUsers'.
func ParseMosquitto(name string, data []byte, roles []string, now time.Time) (Users, error) {
	return parseLines(name, data, func(line string) (u User, bad *mistake) {
		user, hash, ok := strings.Cut(line, ":")
		if !ok {
			return u, &mistake{0, errors.New("has no colon between the user's name and the hash")}
		}
		if err := CheckName(user); err != nil {
			return u, &mistake{0, err}
		}
		h, err := ParseHash(hash)
		if err != nil {
			return u, &mistake{len(user) + 1, err}
		}
		if h.Generated() {
			return u, &mistake{len(user) + 1, fmt.Errorf("%s is no hash of mosquitto", h)}
		}
		return User{Name: user, Hash: h, Roles: SortRoles(roles), Created: now.UTC().Truncate(time.Second)}, nil
	})
}
