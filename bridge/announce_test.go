package bridge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"edge/bridge"
	"edge/bridge/bridgetest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = bridge.Base("edge/host/porch")

func announce(t *testing.T, c bridge.Client, entities ...bridge.Entity) {
	t.Helper()
	if err := bridge.Announce(t.Context(), c, bridge.Device{Base: base, Entities: entities}); err != nil {
		t.Fatal(err)
	}
}

func TestAnnounceMeta(t *testing.T) {
	c := new(bridgetest.Client)
	err := bridge.Announce(t.Context(), c, bridge.Device{
		Base: base, Name: "Porch & <garden>", Manufacturer: "Maker", Model: "Board", Serial: "0042", Version: "1.2",
		Entities: []bridge.Entity{
			{ID: "lamp", Name: "Lamp", Kind: bridge.Switch, Command: true},
			{ID: "door", Kind: bridge.BinarySensor, Class: "door", Events: []string{"press"}},
			{ID: "temperature", Kind: bridge.Sensor, Class: "temperature", Unit: "°C", Min: new(-40.0), Max: new(0.0)},
			{ID: "mode", Kind: bridge.Text, Options: []string{"day", "night"}, Command: true},
			{ID: "restart", Kind: bridge.Button, Command: true},
			{ID: "bell", Kind: bridge.Event, Events: []string{"press", "hold"}},
			{ID: "blind", Kind: bridge.Cover, Class: "shutter", Command: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := c.Retained(base.Meta())
	var got bytes.Buffer
	if err := json.Indent(&got, m.Payload, "", "  "); err != nil {
		t.Fatalf("meta %q: %v", m.Payload, err)
	}
	golden := filepath.Join("testdata", "meta.json")
	if *update {
		if err := os.WriteFile(golden, append(got.Bytes(), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), got.String()); diff != "" {
		t.Errorf("meta (-want +got; -update writes the golden file):\n%s", diff)
	}
}

func TestAnnounceNothing(t *testing.T) {
	c := new(bridgetest.Client)
	announce(t, c)
	m, _ := c.Retained(base.Meta())
	if got, want := string(m.Payload), `{"name":"porch","status":"edge/host/porch/status","entities":[]}`; got != want {
		t.Errorf("meta is %s, want %s", got, want)
	}
}

func TestAnnounceOrder(t *testing.T) {
	c := &spy{Client: new(bridgetest.Client)}
	announce(t, c, bridge.Entity{ID: "a", Kind: bridge.Sensor})
	announce(t, c, bridge.Entity{ID: "b", Kind: bridge.Sensor}) // a has retained nothing
	want := []string{base.Meta(), base.Status() + "=online", base.Meta(), base.Status() + "=online"}
	if diff := cmp.Diff(want, c.published()); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestAnnounceEmptiesLeftovers(t *testing.T) {
	c := new(bridgetest.Client)
	retain := func(names ...string) {
		for _, name := range names {
			if err := c.Publish(t.Context(), bridge.Message{Topic: name, Payload: []byte("x"), Retain: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const b = string(base)
	announce(t, c,
		bridge.Entity{ID: "gone", Kind: bridge.Switch, Command: true},
		bridge.Entity{ID: "gone2", Kind: bridge.Sensor},
		bridge.Entity{ID: "stays", Kind: bridge.Sensor},
		bridge.Entity{ID: "moment", Kind: bridge.BinarySensor},
		bridge.Entity{ID: "blind", Kind: bridge.Cover},
		bridge.Entity{ID: "turned", Kind: bridge.Cover})
	retain(b+"/blind/position", b+"/turned/position", b+"/gone", b+"/gone/attr", b+"/gone/deep/down", b+"/gone2", b+"/stays", b+"/stays/attr", b+"/stays/old",
		b+"/moment", b+"/moment/attr", b+"/foreign", b+"/gone3", "edge/host/other/gone", b)
	announce(t, c,
		bridge.Entity{ID: "stays", Kind: bridge.Sensor},
		bridge.Entity{ID: "moment", Kind: bridge.Event, Events: []string{"press"}},
		bridge.Entity{ID: "blind", Kind: bridge.Cover},
		bridge.Entity{ID: "turned", Kind: bridge.Switch})

	want := []string{
		"edge/host/other/gone", b, b + "/blind/position", b + "/foreign", b + "/gone3", b + "/meta", b + "/moment/attr",
		b + "/status", b + "/stays", b + "/stays/attr", b + "/stays/old",
	}
	if diff := cmp.Diff(want, retained(t, c)); diff != "" {
		t.Errorf("retained after the second announcement (-want +got):\n%s", diff)
	}
}

// A command that is retained all the same, by an older broker, cannot be emptied:
// the broker refuses it. The bridge must start nevertheless.
func TestAnnounceLeavesCommandsAlone(t *testing.T) {
	c := &spy{Client: haunted{new(bridgetest.Client)}}
	announce(t, c, bridge.Entity{ID: "gone", Kind: bridge.Switch, Command: true})
	announce(t, c)
	want := []string{base.Meta(), base.Status() + "=online", base.Meta(), base.Status() + "=online"}
	if diff := cmp.Diff(want, c.published()); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

// haunted is a broker that holds a retained command.
type haunted struct{ bridge.Client }

func (h haunted) Subscribe(ctx context.Context, filter string, handle func(bridge.Message)) error {
	handle(bridge.Message{Topic: base.Set("gone"), Payload: []byte("ON"), Retain: true})
	return h.Client.Subscribe(ctx, filter, handle)
}

// retained returns the topics of everything that is retained.
func retained(t *testing.T, c bridge.Client) []string {
	t.Helper()
	names := map[string]bool{}
	end := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := c.Subscribe(ctx, "#", func(m bridge.Message) {
		if m.Topic == "end/of/retained" {
			close(end)
		}
		if m.Retain {
			names[m.Topic] = true
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	bridgetest.Send(t, c, "end/of/retained", "")
	<-end
	return slices.Sorted(maps.Keys(names))
}

// What somebody else retained on …/meta must neither stop us nor make us delete.
func TestAnnounceAfterStrangeMeta(t *testing.T) {
	for _, old := range []string{
		"no JSON", "[]", `{"entities":7}`, `{"entities":[{"id":7}]}`,
		`{"entities":[{"id":"a/b"},{"id":""},{"id":"status"},{"id":"#"},{"id":"../x"}]}`,
	} {
		c := new(bridgetest.Client)
		for _, m := range []bridge.Message{
			{Topic: base.Meta(), Payload: []byte(old), Retain: true},
			{Topic: base.State("a/b"), Payload: []byte("x"), Retain: true},
		} {
			if err := c.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		announce(t, c)
		want := []string{string(base) + "/a/b", base.Meta(), base.Status()}
		if diff := cmp.Diff(want, retained(t, c)); diff != "" {
			t.Errorf("retained after meta %s (-want +got):\n%s", old, diff)
		}
	}
}

func TestAnnounceFails(t *testing.T) {
	broken := errors.New("broker is full")
	good := bridge.Device{Base: base, Entities: []bridge.Entity{{ID: "a", Kind: bridge.Sensor}}}
	bad := bridge.Device{Base: base, Entities: []bridge.Entity{{ID: "A", Kind: "x"}}}
	for _, tt := range []struct {
		name   string
		device bridge.Device
		fail   string // the topic where publishing fails
		want   string
	}{
		{"invalid", bad, "", `device edge/host/porch: entity 0: the id "A": want one or more of a-z, 0-9, _ and -` + "\n" +
			`device edge/host/porch: entity "A": unknown kind "x"; want switch, binary_sensor, sensor, button, number, text, event or cover`},
		{"meta", good, base.Meta(), "announce edge/host/porch: broker is full"},
		{"leftover", good, base.State("old"), "announce edge/host/porch: empty edge/host/porch/old: broker is full"},
		{"status", good, base.Status(), "publish status online of edge/host/porch: broker is full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := new(bridgetest.Client)
			announce(t, c, bridge.Entity{ID: "old", Kind: bridge.Sensor})
			if err := bridge.PublishState(t.Context(), c, base, "old", "1"); err != nil {
				t.Fatal(err)
			}
			s := &spy{Client: c, fail: func(m bridge.Message) error {
				if m.Topic == tt.fail {
					return broken
				}
				return nil
			}}
			err := bridge.Announce(t.Context(), s, tt.device)
			if err == nil || err.Error() != tt.want {
				t.Errorf("Announce returned %v\nwant %s", err, tt.want)
			}
			if tt.name == "invalid" && len(s.published()) > 0 {
				t.Errorf("published %q of an invalid device", s.published())
			}
		})
	}
}

// A broker that swallows messages must not hang a bridge for ever.
func TestAnnounceGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		err := bridge.Announce(t.Context(), deaf{}, bridge.Device{Base: base})
		if err == nil || !strings.Contains(err.Error(), "did not deliver edge/host/porch/meta") {
			t.Errorf("Announce returned %v, want that meta was not delivered", err)
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("Announce took %v, want 10s", took)
		}
	})
}

// deaf takes everything and delivers nothing.
type deaf struct{}

func (deaf) Publish(context.Context, bridge.Message) error                 { return nil }
func (deaf) Subscribe(context.Context, string, func(bridge.Message)) error { return nil }

func TestPublishFails(t *testing.T) {
	c := new(bridgetest.Client)
	for name, err := range map[string]error{
		"publish state of edge/host/porch/a+: publish edge/host/porch/a+: ": bridge.PublishState(t.Context(), c, base, "a+", "1"),
		"publish edge/host/porch/a/attr: json: ": bridge.PublishAttr(t.Context(), c, base, "a",
			bridge.Attr{Extra: map[string]any{"f": func() {}}}),
		`publish edge/host/porch/a/result: unknown status "done"; want ok, refused or error`: bridge.PublishResult(t.Context(), c, base, "a",
			bridge.Result{Status: "done"}),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("got %v, want %s…", err, name)
		}
	}
	if names := retained(t, c); len(names) > 0 {
		t.Errorf("retained %q, want nothing", names)
	}
}
