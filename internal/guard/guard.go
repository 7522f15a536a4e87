// Package guard makes outputs safe when the process that drives them dies, hangs
// or is killed. Two processes hold the lines: the main one, which drives them, and
// the guard, a small one that does next to nothing else.
//
// What they share is the file of each request of lines. The main process passes it
// on through a socket, and the kernel keeps the lines driven until both have closed
// it. So the guard drives the safe level through its own descriptor when the main
// process is gone, and gives it back when that is there again: no line is released,
// becomes an input, or has a level that nobody asked for. Why so, decision 12 says.
//
// The main process is a Client, which puts itself between bridges and chips; the
// other is Serve. The main process shows that it lives by beats, into which goes
// what the owners of lines say by Alive: a process of which only the beating part
// is left is as good as dead. Before each change of an output the client looks
// whether the guard can have given up on it; then it is refused with ErrTakenOver.
//
// What is not promised: a process that was stopped between that look and the change
// itself drives its line when it goes on. The guard drives the safe level again and
// again until the process has spoken to it or has ended, so that lasts for a tenth
// of a second at most.
//
// It knows no pins, no bridges and no MQTT.
package guard

import (
	"errors"
	"path/filepath"
	"time"

	"edge/internal/config"
	"edge/internal/gpiochip"
)

// ErrTakenOver means that the guard drives the line now, since this process gave no
// sign of life for too long. The line must be closed, and requested again.
var ErrTakenOver = errors.New("the guard has taken over")

const (
	// maxLines is how many lines a guard holds.
	maxLines = 8 * gpiochip.MaxLines

	// maxPeers is how many connections a guard has at a time. One is of the main
	// process; others wait for their first word, or are to be refused.
	maxPeers = 8

	// answerTime bounds a question and its answer, on either side.
	answerTime = time.Second

	// socketPath is how many bytes fit into sockaddr_un with the final NUL.
	socketPath = 107
)

// Config is the `guard:` section of the configuration.
type Config struct {
	Enabled   bool          `yaml:"enabled" doc:"Outputs are held by edge guard, too, which makes them safe when the hub dies or hangs."`
	Socket    string        `yaml:"socket" doc:"Where the guard listens; guard.sock in the data directory if absent."`
	Patience  time.Duration `yaml:"patience" doc:"How long the hub may give no sign of life before its outputs are made safe."`
	KillAfter time.Duration `yaml:"kill_after" doc:"How long a hub that hangs is waited for after that; then it is killed, for its supervisor to start it anew. 0s is never."`

	Watchdog        string        `yaml:"watchdog" doc:"Device of a hardware watchdog that resets the board when the guard hangs, too, such as /dev/watchdog; nobody else may use it. Empty is none."`
	WatchdogTimeout time.Duration `yaml:"watchdog_timeout" doc:"After how long the hardware watchdog resets the board, in whole seconds."`
}

// DefaultConfig has no guard and no hardware watchdog. The watchdog of a Raspberry
// Pi counts 15 s at most.
func DefaultConfig() Config {
	return Config{Patience: 400 * time.Millisecond, KillAfter: 10 * time.Second, WatchdogTimeout: 10 * time.Second}
}

// What a Config can be. With less patience a busy machine would look dead.
const (
	minPatience = 100 * time.Millisecond
	maxPatience = time.Minute
	maxKill     = time.Hour
	maxWatchdog = time.Hour
)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, config.Errorf(field, format, args...))
	}
	if len(c.Socket) > socketPath {
		add("socket", "has %d bytes; the path of a socket has %d at most", len(c.Socket), socketPath)
	}
	if c.Patience < minPatience || c.Patience > maxPatience {
		add("patience", "%v is not between %v and %v", c.Patience, minPatience, maxPatience)
	}
	if c.KillAfter < 0 || c.KillAfter > maxKill {
		add("kill_after", "%v is not between 0s and %v", c.KillAfter, maxKill)
	}
	if c.Watchdog != "" && !filepath.IsAbs(c.Watchdog) {
		add("watchdog", "%q is no device; want something like /dev/watchdog", c.Watchdog)
	}
	if t := c.WatchdogTimeout; t < time.Second || t > maxWatchdog || t%time.Second != 0 {
		add("watchdog_timeout", "%v is not a whole number of seconds from %v to %v", t, time.Second, maxWatchdog)
	}
	return errors.Join(errs...)
}

// pace is how often there are beats, and how often the guard looks after things. At
// an eighth of the patience, several beats can be late before the guard gives up.
func pace(patience time.Duration) time.Duration { return patience / 8 }
