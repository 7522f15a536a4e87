package bridge_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/bridge"
)

func TestBase(t *testing.T) {
	base := bridge.Base("edge/host/porch")
	got := []string{
		base.Status(), base.Meta(), base.State("lamp"), base.Attr("lamp"),
		base.Set("lamp"), base.Result("lamp"), base.Event("lamp"),
	}
	want := []string{
		"edge/host/porch/status", "edge/host/porch/meta", "edge/host/porch/lamp", "edge/host/porch/lamp/attr",
		"edge/host/porch/lamp/set", "edge/host/porch/lamp/result", "edge/host/porch/lamp/event",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
}

func TestSplitSet(t *testing.T) {
	for _, tt := range []struct {
		topic  string
		base   bridge.Base
		entity string
		ok     bool
	}{
		{"edge/host/porch/lamp/set", "edge/host/porch", "lamp", true},
		{"a/b/c/d/set", "a/b/c", "d", true},
		{"edge/host/porch/set", "", "", false},
		{"edge/host/porch/lamp/x/set", "", "", false},
		{"edge/host/porch/lamp/set/", "", "", false},
		{"edge/host/porch/lamp/reset", "", "", false},
		{"edge/host/porch/lamp", "", "", false},
		{"set", "", "", false},
		{"/set", "", "", false},
		{"", "", "", false},
	} {
		base, entity, ok := bridge.SplitSet(tt.topic)
		if base != tt.base || entity != tt.entity || ok != tt.ok {
			t.Errorf("SplitSet(%q) = %q, %q, %t, want %q, %q, %t", tt.topic, base, entity, ok, tt.base, tt.entity, tt.ok)
		}
		if ok && base.Set(entity) != tt.topic {
			t.Errorf("SplitSet(%q): its parts make %q", tt.topic, base.Set(entity))
		}
	}
}

func TestDeviceValidate(t *testing.T) {
	limit := func(f float64) *float64 { return &f }
	sensor := func(id string) bridge.Entity { return bridge.Entity{ID: id, Kind: bridge.Sensor} }
	with := func(e bridge.Entity) bridge.Device {
		return bridge.Device{Base: "e/h/b", Entities: []bridge.Entity{e}}
	}
	for _, tt := range []struct {
		name   string
		device bridge.Device
		want   []string
	}{
		{"no entities", bridge.Device{Base: "e/h/b"}, nil},
		{"all kinds", bridge.Device{Base: "e/h/b", Entities: []bridge.Entity{
			{ID: "a-z_09", Kind: bridge.Switch, Command: true},
			{ID: "b", Kind: bridge.BinarySensor, Class: "door", Events: []string{"press", "hold_2"}},
			{ID: "c", Kind: bridge.Sensor, Unit: "°C", Min: limit(-40), Max: limit(-40)},
			{ID: "d", Kind: bridge.Button, Command: true},
			{ID: "e", Kind: bridge.Number, Min: limit(0), Max: limit(1), Command: true},
			{ID: "f", Kind: bridge.Text, Options: []string{"a b"}},
			{ID: "g", Kind: bridge.Event, Events: []string{"press"}},
		}}, nil},
		{"no base", bridge.Device{}, []string{`device base: topic name "": is empty`}},
		{"wildcard", bridge.Device{Base: "e/+/b"}, []string{`device base: topic name "e/+/b": wildcard '+' at byte 2; only filters may have wildcards`}},
		{"empty level", bridge.Device{Base: "e//b"}, []string{`device base "e//b": want <prefix>/<node>/<bridge>, without empty levels and without $`}},
		{"last level", bridge.Device{Base: "e/h/"}, []string{`device base "e/h/": want <prefix>/<node>/<bridge>, without empty levels and without $`}},
		{"dollar", bridge.Device{Base: "$SYS/h/b"}, []string{`device base "$SYS/h/b": want <prefix>/<node>/<bridge>, without empty levels and without $`}},
		{"all ids", bridge.Device{Base: "e/h/b", Entities: []bridge.Entity{
			sensor(""), sensor("Lamp"), sensor("a/b"), sensor("é"), sensor("a b"), sensor("status"), sensor("meta"), sensor("x"), sensor("x"),
		}}, []string{
			`device e/h/b: entity 0: the id "": want one or more of a-z, 0-9, _ and -`,
			`device e/h/b: entity 1: the id "Lamp": want one or more of a-z, 0-9, _ and -`,
			`device e/h/b: entity 2: the id "a/b": want one or more of a-z, 0-9, _ and -`,
			`device e/h/b: entity 3: the id "é": want one or more of a-z, 0-9, _ and -`,
			`device e/h/b: entity 4: the id "a b": want one or more of a-z, 0-9, _ and -`,
			`device e/h/b: entity 5: the id "status" is the name of a topic of the bridge; choose another`,
			`device e/h/b: entity 6: the id "meta" is the name of a topic of the bridge; choose another`,
			`device e/h/b: entity 8: the id "x" is taken by an earlier one`,
		}},
		{"all of an entity", with(bridge.Entity{ID: "x", Kind: "swich", Min: limit(2), Max: limit(1), Options: []string{"a", ""}, Events: []string{"Press"}, StateClass: "total"}), []string{
			`device e/h/b: entity "x": unknown kind "swich"; want switch, binary_sensor, sensor, button, number, text, event or cover`,
			`device e/h/b: entity "x": the smallest value 2 is above the greatest, 1`,
			`device e/h/b: entity "x": unknown state class "total"; want measurement or total_increasing`,
			`device e/h/b: entity "x": option 1 is empty`,
			`device e/h/b: entity "x": event 0 is called "Press"; want one or more of a-z, 0-9, _ and -`,
		}},
		{"state class", with(bridge.Entity{ID: "x", Kind: bridge.Text, StateClass: bridge.Measurement}), []string{
			`device e/h/b: entity "x": only a sensor has a state class, and this is a text`,
		}},
		{"button", with(bridge.Entity{ID: "x", Kind: bridge.Button}), []string{`device e/h/b: entity "x": a button must take commands`}},
		{"event", with(bridge.Entity{ID: "x", Kind: bridge.Event}), []string{`device e/h/b: entity "x": an event needs the names of its events`}},
		{"limits", with(bridge.Entity{ID: "x", Kind: bridge.Number, Min: limit(math.NaN()), Max: limit(math.Inf(1))}), []string{
			`device e/h/b: entity "x": NaN is no limit`, `device e/h/b: entity "x": +Inf is no limit`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			if err := tt.device.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Validate() (-want +got):\n%s", diff)
			}
		})
	}
}
