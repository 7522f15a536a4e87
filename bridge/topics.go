package bridge

import (
	"strings"

	"edge/internal/topic"
)

// A Base is the topic `<prefix>/<node>/<bridge>` under which a bridge speaks.
type Base string

// Status is where `online` or `offline` is retained.
func (b Base) Status() string { return string(b) + "/status" }

// Meta is where the description of the device is retained, as JSON.
func (b Base) Meta() string { return string(b) + "/meta" }

// State is where the state of an entity is retained, as a plain scalar.
func (b Base) State(entity string) string { return string(b) + "/" + entity }

// Position is where a cover retains how far it is open, in percent; nothing is
// there while that is not known.
func (b Base) Position(entity string) string { return b.State(entity) + "/position" }

// Attr is where quality, error and counters of an entity are retained, as JSON.
func (b Base) Attr(entity string) string { return b.State(entity) + "/attr" }

// Saved is where that is retained which an entity must know again after a restart,
// as JSON; see Save.
func (b Base) Saved(entity string) string { return b.State(entity) + "/saved" }

// Set is where an entity takes commands. They are never retained.
func (b Base) Set(entity string) string { return b.State(entity) + "/set" }

// Result is where an entity answers commands, as JSON that is not retained.
func (b Base) Result(entity string) string { return b.State(entity) + "/result" }

// Event is where an entity tells what happened (`press`); not retained.
func (b Base) Event(entity string) string { return b.State(entity) + "/event" }

// Log is where an output tells each of its changes, as JSON that is not retained.
func (b Base) Log(entity string) string { return b.State(entity) + "/log" }

// name is the last level: what the bridge is called.
func (b Base) name() string { return string(b)[strings.LastIndexByte(string(b), '/')+1:] }

// SplitSet takes the topic of a command, `<prefix>/<node>/<bridge>/<entity>/set`,
// apart. For any other topic ok is false.
func SplitSet(name string) (base Base, entity string, ok bool) {
	rest, ok := strings.CutSuffix(name, "/set")
	if !ok || topic.Levels(rest) != 4 {
		return "", "", false
	}
	i := strings.LastIndexByte(rest, '/')
	return Base(rest[:i]), rest[i+1:], true
}
