// Package login knows who somebody is: users with their password hashes, the
// file that keeps them, and the check of a name with a password, which neither
// many guesses nor many honest clients can make expensive. What a user may do is
// not its business: it carries the names of roles and does not know what they
// mean.
package login

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of the users file, generous for a building.
const (
	MaxUsers = 10_000
	MaxName  = 128 // bytes
	MaxRoles = 16  // of one user
	maxRole  = 32  // bytes
)

// A User is somebody who can log in.
type User struct {
	Name     string
	Hash     Hash
	Roles    []string // sorted, each once
	Disabled bool     // no password is right
	Created  time.Time
}

// Users are all users, in the order of their names. They are shared once they are
// made: the methods return new ones.
type Users []User

func byName(u User, name string) int { return strings.Compare(u.Name, name) }

// Find returns the user with a name.
func (us Users) Find(name string) (User, bool) {
	i, ok := slices.BinarySearchFunc(us, name, byName)
	if !ok {
		return User{}, false
	}
	return us[i], true
}

// With returns the users with u, in place of the one who had its name.
func (us Users) With(u User) Users {
	i, ok := slices.BinarySearchFunc(us, u.Name, byName)
	if ok {
		us = slices.Clone(us)
		us[i] = u
		return us
	}
	return slices.Insert(slices.Clone(us), i, u)
}

// Without returns the users without the one who has a name.
func (us Users) Without(name string) Users {
	return slices.DeleteFunc(slices.Clone(us), func(u User) bool { return u.Name == name })
}

// CheckName says what is wrong with a user's name. A name can stand in a topic as
// one level (%u), at any place, and in the users file.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a user needs a name")
	case len(name) > MaxName:
		return fmt.Errorf("the user's name has %d bytes, the most are %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("the user's name is not UTF-8")
	case name[0] == '$':
		return fmt.Errorf("the user's name begins with $, as the broker's own topics do")
	case name != strings.TrimSpace(name):
		return fmt.Errorf("the user's name begins or ends with a space")
	}
	if i := strings.IndexFunc(name, notInName); i >= 0 {
		r, _ := utf8.DecodeRuneInString(name[i:])
		return fmt.Errorf("the user's name has %q; : / + # and what cannot be printed are not allowed", r)
	}
	return nil
}

func notInName(r rune) bool { return strings.ContainsRune(":/+#", r) || !unicode.IsPrint(r) }

// Bounds of a password that a person chooses.
const (
	MinPassword = 8    // characters
	maxPassword = 1024 // bytes
)

// CheckPassword says what is wrong with a password that a person has chosen.
func CheckPassword(p Secret) error {
	switch text := p.Reveal(); {
	case utf8.RuneCountInString(text) < MinPassword:
		return fmt.Errorf("the password needs at least %d characters", MinPassword)
	case len(text) > maxPassword:
		return fmt.Errorf("the password has more than %d bytes", maxPassword)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("the password has characters that cannot be typed")
	}
	return nil
}

// CheckRoles says what is wrong with names of roles.
func CheckRoles(roles []string) error {
	if len(roles) > MaxRoles {
		return fmt.Errorf("%d roles, the most are %d", len(roles), MaxRoles)
	}
	for _, r := range roles {
		if r == "" || len(r) > maxRole || strings.ContainsFunc(r, notInRole) {
			return fmt.Errorf("role %q: must be 1 to %d of a-z, 0-9, _ and -", r, maxRole)
		}
	}
	return nil
}

func notInRole(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_-", r)
}

// SortRoles returns roles as a User has them.
func SortRoles(roles []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(roles)))
}
