package serial

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"edge/bridge"
	"edge/internal/codec"
	"edge/internal/frame"
)

// An order is what a command's template sees.
type order struct {
	ID    string // of the entity
	Value string // as on the topic
	Raw   string // as the stick knows it
}

// A writer turns commands to one entity into bytes.
type writer struct {
	entity Entity
	text   template
	build  *frame.Builder // nil: text makes all of the frame
}

// longest bounds what a template may make, in bytes.
const longest = 4096

func compile(e Entity, build *frame.Builder) (*writer, error) {
	t, err := parseTemplate(e.Command)
	if err != nil {
		return nil, err
	}
	return &writer{entity: e, text: t, build: build}, nil
}

func (w *writer) render(o order) ([]byte, error) {
	if w.entity.Encode.As != NoEncoding {
		b, err := w.entity.encoded(o)
		if err != nil {
			return nil, err
		}
		return finish(b, w.build)
	}
	return framed(w.text, o, w.build)
}

// framed returns what a template makes, as a frame if there is who builds one.
func framed(t template, o order, build *frame.Builder) ([]byte, error) {
	return finish([]byte(t.render(o)), build)
}

// finish checks the length of what was made, and makes a frame of it.
func finish(b []byte, build *frame.Builder) ([]byte, error) {
	if len(b) == 0 || len(b) > longest {
		return nil, fmt.Errorf("the template made %d bytes, not between 1 and %d", len(b), longest)
	}
	if build == nil {
		return b, nil
	}
	return build.Frame(b)
}

// encode checks a command and returns the value that it stands for and the
// bytes to send. now is the state of the entity, if it is known. The error says
// why the command is refused.
func (w *writer) encode(cmd bridge.Command, now string) (value string, b []byte, err error) {
	if cmd.For != 0 {
		return "", nil, errors.New("for: a stick cannot do this for a time")
	}
	value, raw, err := w.entity.command(cmd.Value, now)
	if err != nil {
		return "", nil, err
	}
	b, err = w.render(order{ID: w.entity.ID, Value: value, Raw: raw})
	return value, b, err
}

// command is the inverse of state.
func (e *Entity) command(value, now string) (state, raw string, err error) {
	switch {
	case e.kind() == bridge.Button && value == "":
		return "PRESS", "PRESS", nil
	case e.kind() == bridge.Switch:
		return e.commandOnOff(value, now)
	case e.numeric():
		v, err := parseNumber(value)
		if err == nil {
			err = e.checkRange(v)
		}
		return codec.Number(v), codec.Number(codec.Linear(v, 1/e.scale(), -e.Offset/e.scale())), err
	case len(e.Options) > 0 && !slices.Contains(e.Options, value):
		return "", "", fmt.Errorf("%s is not one of %s", quote(value), strings.Join(e.Options, ", "))
	}
	// A line feed within would make a second command of the rest.
	return value, value, checkText(value)
}

func (e *Entity) commandOnOff(value, now string) (state, raw string, err error) {
	switch state = strings.ToUpper(value); {
	case state == "ON", state == "OFF":
	case state != "TOGGLE":
		return "", "", fmt.Errorf("%s is not ON, OFF or TOGGLE", quote(value))
	case now == "":
		return "", "", errors.New("TOGGLE: the state is not known yet")
	case now == "ON":
		state = "OFF"
	default:
		state = "ON"
	}
	switch {
	case e.OnValue == "":
		return state, state, nil
	case state == "ON":
		return state, e.OnValue, nil
	}
	return state, e.OffValue, nil
}
