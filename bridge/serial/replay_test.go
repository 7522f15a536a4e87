package serial_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/serial"
	"edge/internal/uart"
)

// A session with a stick: it says how warm it is, is told to turn its LED on, and
// says that it did.
const recorded = `# edge capture 1
# line: 115200 8N1 none
1.000000 < 7b 22 74 22 3a 32 31 2e 35 7d 0a                |{"t":21.5}.|
3.000000 > 6c 65 64 20 6f 6e 0a                            |led on.|
3.020000 < 7b 22 6c 65 64 22 3a 22 6f 6e 22 7d 0a          |{"led":"on"}.|
`

// TestCaptureIsAStick: a bridge sees in a capture what it would have seen in the
// stick, and the capture sees whether the bridge says what was said then.
func TestCaptureIsAStick(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stick.txt")
	if err := os.WriteFile(file, []byte(recorded), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{"led on\n": uart.ErrGone.Error(), "led off\n": "the capture has 6c 65 64 20 6f 6e 0a where 6c 65 64 20 6f 66 66 0a is written"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBridge(t, base, "replay:"+file, func(cfg *serial.Config) {
				cfg.Entities = []serial.Entity{{ID: "t"}, {ID: "led", Kind: bridge.Switch, Command: command}}
			})
			c := new(bridgetest.Client)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			done := make(chan error)
			start := time.Now()
			go func() { done <- b.Run(ctx, c) }()
			bridgetest.Expect(t, c, base.State("t"), "21.5")
			if took := time.Since(start); took < time.Second || took > 2*time.Second {
				t.Errorf("the state came after %v, want 1s", took)
			}
			if err := c.Publish(ctx, bridge.Message{Topic: base.Set("led"), Payload: []byte("ON")}); err != nil {
				t.Fatal(err)
			}
			if command == "led on\n" {
				bridgetest.Expect(t, c, base.State("led"), "ON")
			}
			if err := <-done; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("command %q: Run = %v, want %q within", command, err, want)
			}
		})
	}
}
