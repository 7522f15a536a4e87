package gpio

import (
	"errors"
	"fmt"
	"time"

	"edge/bridge"
)

// clockSet is before anything that a clock may say that was ever set: a Raspberry
// Pi has none that goes on without power.
var clockSet = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// fresh says why a command comes too late for the output, or too early. With a note
// its age is not known, and that is said in the result.
func (p Pin) fresh(now time.Time, cmd command) (note string, err error) {
	if p.MaxAge == 0 {
		return "", nil
	}
	if waited := now.Sub(cmd.at); waited > p.MaxAge {
		return "", fmt.Errorf("it has waited in the hub for %v (max_age)", soon(waited))
	}
	if cmd.At.IsZero() {
		return "", errors.New(`it does not say when it was sent: want {"value":…,"at":…}, or a user property "at" (max_age)`)
	}
	if now.Before(clockSet) {
		return "its age is not known: the clock of the hub is not set", nil
	}
	switch age := now.Sub(cmd.At); {
	case age > p.MaxAge:
		return "", fmt.Errorf("it is %v old (max_age)", soon(age))
	case age < -p.MaxAge:
		return "", fmt.Errorf("it is from %v in the future: is the clock right? (max_age)", soon(-age))
	}
	return "", nil
}

// sentAt returns when m was sent, by its user property `at`; zero if it has none.
func sentAt(m bridge.Message) (at time.Time, err error) {
	for _, u := range m.User {
		if u.Name == "at" {
			if at, err = bridge.ParseTime(u.Value); err != nil {
				return at, fmt.Errorf("user property at: %w", err)
			}
			return at, nil
		}
	}
	return at, nil
}
