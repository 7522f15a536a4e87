package uart_test

import (
	"strings"
	"testing"

	"edge/internal/uart"
)

func TestNamesOfSources(t *testing.T) {
	for _, tt := range []struct{ port, name, wrong string }{
		{"tcp://Bridge.local:2217", "tcp://bridge.local:2217", ""},
		{"TCP://[fe80::1%25eth0]:23/", "tcp://[fe80::1%25eth0]:23", ""},
		{"tcp://10.0.0.7:23?timeout=2s", "tcp://10.0.0.7:23", ""},
		{"rfc2217://s3cret%40token@10.0.0.7:23", "rfc2217://10.0.0.7:23", ""},
		{"replay:./sds011.txt?speed=fast&loop=true&writes=ignore", "replay:./sds011.txt", ""},
		{"tcp:10.0.0.7:23", "", "want tcp://HOST:PORT: two slashes are missing"},
		{"tcp://10.0.0.7", "", "missing port in address"},
		{"tcp://10.0.0.7:0", "", `port "0" is not a number from 1 to 65535`},
		{"tcp://:23", "", `"" is no host`},
		{"tcp://h:23/path", "", `port "23/path" is not a number`},
		{"tcp://h:23?timeout=1s", "", `timeout "1s" is not between 2s and 10m0s`},
		{"tcp://h:23?speed=fast", "", `tcp has no option "speed"; it has timeout`},
		{"tcp://short@h:23", "", "what is before @ is no token"},
		{"tcp://h:23?%zz", "", `options "%zz"`},
		{"replay:", "", "want replay:FILE"},
		{"replay:x?speed=slow", "", `speed "slow" is not one of real, fast`},
		{"replay:x?loop=yes&writes=no", "", `writes "no" is not one of check, ignore`},
	} {
		err := uart.Config{Port: tt.port}.Validate()
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("Validate of port %s: %v, want %q within", tt.port, err, tt.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("Validate of port %s: %v", tt.port, err)
		}
		if got, err := uart.Find(tt.port); got != tt.name || err != nil {
			t.Errorf("Find(%s) = %s, %v, want %s", tt.port, got, err, tt.name)
		}
		if got, err := uart.Wait(t.Context(), tt.port); got != tt.name || err != nil {
			t.Errorf("Wait(%s) = %s, %v, want %s", tt.port, got, err, tt.name)
		}
	}
}

func TestNoErrorQuotesAToken(t *testing.T) {
	for _, port := range []string{"tcp://verysecret@h:0", "tcp://verysecret@h", "tcp://verysecret@:1", "tcp://very secret@h:1"} {
		err := uart.Config{Port: port}.Validate()
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Validate of port %s: %v, want an error without the token", port, err)
		}
	}
}

func TestSamePort(t *testing.T) {
	h := machine(t, board)
	for _, tt := range []struct {
		first, second string
		same          bool
	}{
		{"ttyUSB0", "usb-FTDI_*", true},
		{"ttyUSB0", "ttyUSB1", false},
		{"absent", "/dev/absent", true},
		{"tcp://hub:23", "rfc2217://some-token@HUB:23?timeout=5s", true},
		{"tcp://hub:23", "tcp://hub:24", false},
		{"replay:a", "replay:a", false},
	} {
		if got := h.SamePort(tt.first, tt.second); got != tt.same {
			t.Errorf("SamePort(%s, %s) = %t, want %t", tt.first, tt.second, got, tt.same)
		}
	}
}
