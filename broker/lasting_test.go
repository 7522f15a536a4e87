package broker

import (
	"path/filepath"
	"testing"

	"edge/bridge"
)

// TestLasting has a bridge find after a restart what it has saved, and nothing else
// that it has retained.
func TestLasting(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Root, cfg.Dir = "edge/n", filepath.Join(t.TempDir(), "journal")
	d := bridge.Device{Base: "edge/n/relay", Entities: []bridge.Entity{{ID: "pump", Kind: bridge.Switch, Command: true}}}
	b := startWith(t, cfg)
	c := b.Bridge("relay")
	if err := bridge.Save(t.Context(), c, d.Base, "pump", map[string]bool{"on": true}); err != nil {
		t.Fatal(err)
	}
	if err := bridge.PublishState(t.Context(), c, d.Base, "pump", "ON"); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b = startWith(t, cfg)
	saved, err := bridge.Recall(t.Context(), b.Bridge("relay"), d)
	if err != nil || string(saved["pump"]) != `{"on":true}` {
		t.Errorf("recalled %q, %v", saved, err)
	}
	first := make(chan string, 1)
	err = b.Client("edge").Subscribe(t.Context(), "edge/n/relay/pump", func(m bridge.Message) { first <- string(m.Payload) })
	if err != nil {
		t.Fatal(err)
	}
	if err := bridge.PublishState(t.Context(), b.Bridge("relay"), d.Base, "pump", "OFF"); err != nil {
		t.Fatal(err)
	}
	if got := <-first; got != "OFF" {
		t.Errorf("the state of before is retained: %s", got)
	}
}
