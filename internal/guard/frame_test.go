package guard

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"edge/internal/gpiochip"
)

var heater = request{Chip: "pinctrl-bcm2711", Name: "gpiochip0", Consumer: "edge:heater", Lines: []line{
	{Offset: 17, ActiveLow: true, Bias: gpiochip.PullUp, Drive: gpiochip.OpenDrain, Safe: true},
	{Offset: 4},
}}

func TestFrames(t *testing.T) {
	for _, f := range []frame{
		{Op: opWelcome, Version: version, Patience: time.Second},
		{Op: opHello, Version: version, Seq: 1},
		{Op: opBeat, Seq: 1 << 60, Clock: 5, Age: 3},
		{Op: opTake, Seq: 2, Lines: &heater},
		{Op: opAnswer, Seq: 2, Held: true, Error: "no"},
		{Op: opTakenOver},
	} {
		b, err := f.encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(b); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("decode(%s) = %+v, %v, want %+v", b, got, err, f)
		}
	}
}

func TestBadFrames(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":         ``,
		"no object":       `[]`,
		"unknown op":      `{"op":"reboot"}`,
		"unknown field":   `{"op":"ack","sneq":1}`,
		"more behind":     `{"op":"ack"}{}`,
		"negative age":    `{"op":"beat","age":-1}`,
		"negative clock":  `{"op":"beat","clock":-1}`,
		"lines missing":   `{"op":"hold"}`,
		"lines too many":  `{"op":"beat","lines":{"chip":"a","name":"b","lines":[{"offset":1}]}}`,
		"no lines":        `{"op":"hold","lines":{"chip":"a","name":"b","lines":[]}}`,
		"a line twice":    `{"op":"hold","lines":{"chip":"a","name":"b","lines":[{"offset":1},{"offset":1}]}}`,
		"bias":            `{"op":"hold","lines":{"chip":"a","name":"b","lines":[{"offset":1,"bias":9}]}}`,
		"long name":       `{"op":"hold","lines":{"chip":"` + strings.Repeat("a", 32) + `","name":"b","lines":[{"offset":1}]}}`,
		"impatient":       `{"op":"welcome","version":1}`,
		"long":            `{"op":"ack"}` + strings.Repeat(" ", maxFrame),
		"offset too high": `{"op":"hold","lines":{"chip":"a","name":"b","lines":[{"offset":4294967296}]}}`,
	} {
		if f, err := decode([]byte(b)); err == nil {
			t.Errorf("%s: decode = %+v, want an error", name, f)
		}
	}
}

// TestLongestFrame has the longest request that there is go through.
func TestLongestFrame(t *testing.T) {
	q := request{Chip: strings.Repeat("c", maxName), Name: strings.Repeat("n", maxName), Consumer: strings.Repeat("x", maxName)}
	for i := range uint32(gpiochip.MaxLines) {
		q.Lines = append(q.Lines, line{1<<32 - 1 - i, true, gpiochip.PullDown, gpiochip.OpenSource, true})
	}
	f := frame{Op: opHold, Seq: 1<<64 - 1, Lines: &q}
	b, err := f.encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decode(b); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("decode of %d bytes = %v", len(b), err)
	}
	if q.mask() != 1<<64-1 || q.safe() != 1<<64-1 {
		t.Errorf("mask %#x, safe %#x of 64 lines, want all bits", q.mask(), q.safe())
	}
}

func TestRequests(t *testing.T) {
	r := gpiochip.Request{Consumer: "edge:" + strings.Repeat("ä", 20), Lines: []gpiochip.LineConfig{
		{Offset: 3, Direction: gpiochip.Output, Value: true},
		{Offset: 5, Direction: gpiochip.Output, Safe: true, ActiveLow: true},
	}}
	q, outputs := newRequest(gpiochip.ChipInfo{Name: "gpiochip0", Label: "x"}, r)
	want := request{"x", "gpiochip0", "edge:" + strings.Repeat("ä", 13), []line{{Offset: 3}, {Offset: 5, Safe: true, ActiveLow: true}}}
	if !outputs || !reflect.DeepEqual(q, want) {
		t.Errorf("newRequest = %+v, %t, want %+v", q, outputs, want)
	}
	if q.mask() != 0b11 || q.safe() != 0b10 || values(r) != 0b01 {
		t.Errorf("mask %b, safe %b, values %b; want 11, 10, 1", q.mask(), q.safe(), values(r))
	}
	other := request{"x", "gpiochip0", q.Consumer, []line{{Offset: 3, Safe: true}, {Offset: 5, ActiveLow: true}}}
	if !q.same(other) || !q.overlaps(other) {
		t.Error("a request with other safe values is not the same one")
	}
	other.Name = "gpiochip1"
	if q.same(other) || q.overlaps(other) {
		t.Error("a request on another chip with the same label is the same one")
	}
	r.Lines[0].Direction = gpiochip.Input
	if _, outputs := newRequest(gpiochip.ChipInfo{}, r); outputs {
		t.Error("a request with an input is one of outputs")
	}
}

// FuzzDecode reads anything; what is understood is the same when it is written again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []frame{
		{Op: opBeat, Seq: 7, Clock: time.Hour, Age: time.Millisecond},
		{Op: opHold, Seq: 3, Lines: &heater},
		{Op: opWelcome, Version: version, Patience: time.Second},
		{Op: opAnswer, Held: true, Error: "in use"},
	} {
		b, err := seed.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := decode(b)
		if err != nil {
			return
		}
		again, err := once.encode()
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", once, err)
		}
		if twice, err := decode(again); err != nil || !reflect.DeepEqual(twice, once) {
			t.Fatalf("%s became %+v, %v, want %+v", bytes.TrimSpace(b), twice, err, once)
		}
	})
}
