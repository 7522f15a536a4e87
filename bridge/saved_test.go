package bridge_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/bridge"
	"edge/bridge/bridgetest"
)

// TestRecallEmptiesLeftovers takes an entity away from a device that asks for what it
// has saved before it is announced.
func TestRecallEmptiesLeftovers(t *testing.T) {
	c := new(bridgetest.Client)
	lamp, pump := bridge.Entity{ID: "lamp", Kind: bridge.Switch, Command: true}, bridge.Entity{ID: "pump", Kind: bridge.Switch, Command: true}
	announce(t, c, lamp, pump)
	for _, e := range []string{"lamp", "pump"} {
		if err := bridge.PublishState(t.Context(), c, base, e, "ON"); err != nil {
			t.Fatal(err)
		}
		if err := bridge.Save(t.Context(), c, base, e, e); err != nil {
			t.Fatal(err)
		}
	}
	saved, err := bridge.Recall(t.Context(), c, bridge.Device{Base: base, Entities: []bridge.Entity{lamp}})
	if err != nil || string(saved["lamp"]) != `"lamp"` || len(saved) != 1 {
		t.Errorf("Recall = %q, %v, want what lamp has saved", saved, err)
	}
	announce(t, c, lamp)
	const b = string(base)
	want := []string{b + "/lamp", b + "/lamp/saved", b + "/meta", b + "/status"}
	if diff := cmp.Diff(want, retained(t, c)); diff != "" {
		t.Errorf("retained after the second announcement (-want +got):\n%s", diff)
	}
}
