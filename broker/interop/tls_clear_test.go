package interop

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClearIsSaidOnce warns of passwords that go over a network in the clear: once,
// and not again at each reload.
func TestClearIsSaidOnce(t *testing.T) {
	t.Parallel()
	stricter(t, "it does not warn")
	s := startWith(t, func(l *listeners) {
		_, port, _ := strings.Cut(freeAddress(t), ":")
		l.config = "broker:\n  allow_anonymous: true\n  listeners:\n    - url: tcp://" + l.tcp + "\n    - url: tcp://0.0.0.0:" + port
	})
	const warning = "go over the network in the clear"
	if strings.Contains(s.log.String(), warning) {
		t.Error("it warns while the address is not open to others")
	}
	add := exec.Command(s.cmd.Path, "user", "add", "anna", "--generate", "--data", filepath.Join(s.dir, "data"))
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("edge user add: %v: %s", err, out)
	}
	s.log.await(t, warning, 1)
	for range 2 {
		if said, err := s.reload(t); err != nil {
			t.Fatalf("edge reload: %v: %s", err, said)
		}
	}
	if n := strings.Count(s.log.String(), warning); n != 1 {
		t.Errorf("it warns %d times of one address, want once", n)
	}
}
