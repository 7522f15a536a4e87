package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"edge/internal/gpiochip"
)

// version is that of the protocol. Both ends are the same program as a rule; a guard
// of another version does not serve, and the main process goes on without it.
const version = 2

// Bounds of a frame. A request of gpiochip.MaxLines lines has some 5 KiB.
const (
	maxFrame = 8 << 10 // bytes
	maxText  = 256     // bytes of an error
	maxName  = 31      // bytes of what the kernel calls something (GPIO_MAX_NAME_SIZE, with a NUL)
)

// An op is what a frame says.
type op string

// The guard says welcome to who connects. The client says hello, and may from the
// answer on ask the other things. Beats are acknowledged; leave, disown and takenover
// are not answered.
const (
	opWelcome   op = "welcome"   // guard: version and patience
	opTakenOver op = "takenover" // guard: you gave no sign of life; the last word
	opAck       op = "ack"       // guard: the beat seq has come
	opAnswer    op = "answer"    // guard: to the question seq; a descriptor may come with it

	opHello   op = "hello"   // client: I am the main process
	opBeat    op = "beat"    // client: age before clock, all owners of lines were alive
	opFree    op = "free"    // client: do you hold these lines without me?
	opTake    op = "take"    // client: give me these lines, if you hold them as they are here
	opHold    op = "hold"    // client: hold these lines, too; with a descriptor
	opLeave   op = "leave"   // client: I have closed these lines; their levels are as they should be
	opDisown  op = "disown"  // client: you do not answer; forget everything
	opGoodbye op = "goodbye" // client: I have left everything as it should be, and end
)

// A frame is one message, a packet of JSON.
type frame struct {
	Op       op            `json:"op"`
	Version  int           `json:"version,omitempty"`
	Patience time.Duration `json:"patience,omitempty"` // ns
	Seq      uint64        `json:"seq,omitempty"`
	Clock    time.Duration `json:"clock,omitempty"` // ns from a time that only the client knows; in hello and beat
	Age      time.Duration `json:"age,omitempty"`   // ns
	Lines    *request      `json:"lines,omitempty"`
	Held     bool          `json:"held,omitempty"` // the guard has the lines; in an answer to hello, it has taken over before
	Error    string        `json:"error,omitempty"`
}

// A request is what the kernel was asked for, or is to be.
type request struct {
	Chip     string `json:"chip"` // label
	Name     string `json:"name"` // of the chip; another one with the same label has another
	Consumer string `json:"consumer,omitempty"`
	Lines    []line `json:"lines"`
}

// A line is an output, as it was requested, and its safe value.
type line struct {
	Offset    uint32         `json:"offset"`
	ActiveLow bool           `json:"active_low,omitempty"`
	Bias      gpiochip.Bias  `json:"bias,omitempty"`
	Drive     gpiochip.Drive `json:"drive,omitempty"`
	Safe      bool           `json:"safe,omitempty"`
}

// newRequest returns r on a chip, if all its lines are outputs.
func newRequest(chip gpiochip.ChipInfo, r gpiochip.Request) (q request, outputs bool) {
	q = request{Chip: chip.Label, Name: chip.Name, Consumer: cut(r.Consumer, maxName)}
	for _, l := range r.Lines {
		if l.Direction != gpiochip.Output {
			return q, false
		}
		q.Lines = append(q.Lines, line{l.Offset, l.ActiveLow, l.Bias, l.Drive, l.Safe})
	}
	return q, r.Validate() == nil
}

// cut returns the first n bytes of s, in whole characters.
func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:min(n, len(s))], "")
}

// check reports what no chip has.
func (q request) check() error {
	if len(q.Chip) > maxName || len(q.Name) > maxName || len(q.Consumer) > maxName {
		return fmt.Errorf("a name has more than %d bytes", maxName)
	}
	r := gpiochip.Request{Consumer: q.Consumer}
	for _, l := range q.Lines {
		r.Lines = append(r.Lines, gpiochip.LineConfig{
			Offset: l.Offset, Direction: gpiochip.Output, ActiveLow: l.ActiveLow, Bias: l.Bias, Drive: l.Drive, Safe: l.Safe,
		})
	}
	return r.Validate()
}

// mask is all lines of q.
func (q request) mask() uint64 { return ^uint64(0) >> (64 - len(q.Lines)) }

// safe is the safe values of q.
func (q request) safe() (values uint64) {
	for i, l := range q.Lines {
		if l.Safe {
			values |= 1 << i
		}
	}
	return values
}

// same reports whether other asks for the same lines in the same way, whatever is
// safe.
func (q request) same(other request) bool {
	if q.Chip != other.Chip || q.Name != other.Name || q.Consumer != other.Consumer || len(q.Lines) != len(other.Lines) {
		return false
	}
	for i, l := range q.Lines {
		l.Safe = other.Lines[i].Safe
		if l != other.Lines[i] {
			return false
		}
	}
	return true
}

// overlaps reports whether a line of other is one of q.
func (q request) overlaps(other request) bool {
	if q.Chip != other.Chip || q.Name != other.Name {
		return false
	}
	for _, a := range q.Lines {
		for _, b := range other.Lines {
			if a.Offset == b.Offset {
				return true
			}
		}
	}
	return false
}

// encode makes the packet of f.
func (f frame) encode() ([]byte, error) {
	f.Error = cut(f.Error, maxText)
	b, err := json.Marshal(f)
	if err == nil && len(b) > maxFrame {
		err = fmt.Errorf("%s has %d bytes, more than %d", f.Op, len(b), maxFrame)
	}
	return b, err
}

// decode reads a packet, and refuses what nobody of ours would write.
func decode(b []byte) (frame, error) {
	var f frame
	if len(b) > maxFrame {
		return f, fmt.Errorf("a frame of more than %d bytes", maxFrame)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("read a frame: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return f, errors.New("read a frame: there is more behind it")
	}
	if err := f.check(); err != nil {
		return f, fmt.Errorf("frame %q: %w", f.Op, err)
	}
	return f, nil
}

// check reports what does not belong into f, or is missing.
func (f frame) check() error {
	lines := f.Op == opFree || f.Op == opTake || f.Op == opHold || f.Op == opLeave
	switch {
	case f.Age < 0 || f.Clock < 0 || f.Patience < 0 || len(f.Error) > maxText:
		return errors.New("a value out of range")
	case lines != (f.Lines != nil):
		return errors.New("lines where there are none, or none where they must be")
	case lines:
		return f.Lines.check()
	}
	switch f.Op {
	case opWelcome:
		if f.Patience < minPatience || f.Patience > maxPatience {
			return fmt.Errorf("patience %v", f.Patience)
		}
		return nil
	case opTakenOver, opAck, opAnswer, opHello, opBeat, opDisown, opGoodbye:
		return nil
	}
	return errors.New("unknown")
}
