package gpio

import (
	"fmt"
	"testing"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"

	"edge/internal/periphpin"
)

// TestRegister looks for the header's lines as a driver of periph does.
func TestRegister(t *testing.T) {
	if err := register(nil, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for n := range 28 {
			if err := gpioreg.Unregister(fmt.Sprintf("GPIO%d", n)); err != nil {
				t.Errorf("GPIO%d was not registered: %v", n, err)
			}
		}
	})
	for name, want := range map[string]gpio.Pull{"GPIO2": gpio.PullUp, "GPIO17": gpio.PullDown, "GPIO27": gpio.PullDown} {
		p, ok := gpioreg.ByName(name).(*periphpin.Pin)
		if !ok || p.DefaultPull() != want || p.String() != fmt.Sprintf("%s(%s)", name, name[4:]) {
			t.Errorf("%s is %v, want one of ours with %s", name, gpioreg.ByName(name), want)
		}
	}
}
