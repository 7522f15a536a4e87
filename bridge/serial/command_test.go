package serial

import (
	"strings"
	"testing"
	"time"

	"edge/bridge"
)

func TestEncode(t *testing.T) {
	led := Entity{ID: "led", Kind: bridge.Switch, Command: "led {{.Value | lower}}\n"}
	relay := Entity{ID: "r1", Kind: bridge.Switch, OnValue: "1", OffValue: "0", Command: "{{.ID}}={{.Raw}}\r"}
	level := Entity{ID: "level", Kind: bridge.Number, Scale: 0.1, Offset: -5, Min: new(0.0), Max: new(50.0), Command: "{{.Value}}/{{.Raw}}\n"}
	mode := Entity{ID: "mode", Kind: bridge.Text, Options: []string{"eco", "boost"}, Command: "MODE {{.Value | upper}}\n"}
	say := Entity{ID: "say", Kind: bridge.Text, Command: "say {{.Value | printf \"%q\"}}\n"}
	beep := Entity{ID: "beep", Kind: bridge.Button, Command: "\a"}
	for _, tt := range []struct {
		e     Entity
		cmd   bridge.Command
		now   string
		value string
		bytes string
		err   string
	}{
		{e: led, cmd: bridge.Command{Value: "on"}, value: "ON", bytes: "led on\n"},
		{e: led, cmd: bridge.Command{Value: "TOGGLE"}, now: "ON", value: "OFF", bytes: "led off\n"},
		{e: led, cmd: bridge.Command{Value: "TOGGLE"}, now: "OFF", value: "ON", bytes: "led on\n"},
		{e: led, cmd: bridge.Command{Value: "TOGGLE"}, err: "TOGGLE: the state is not known yet"},
		{e: led, cmd: bridge.Command{Value: "on\nreset"}, err: `"on\nreset"`},
		{e: led, cmd: bridge.Command{}, err: `"" is not ON, OFF or TOGGLE`},
		{e: led, cmd: bridge.Command{Value: "ON", For: time.Second}, err: "for: a stick cannot do this for a time"},
		{e: relay, cmd: bridge.Command{Value: "OFF"}, value: "OFF", bytes: "r1=0\r"},
		{e: relay, cmd: bridge.Command{Value: "ON"}, value: "ON", bytes: "r1=1\r"},
		{e: level, cmd: bridge.Command{Value: "21.50"}, value: "21.5", bytes: "21.5/265\n"},
		{e: level, cmd: bridge.Command{Value: "50.1"}, err: "50.1 is above the maximum, 50"},
		{e: level, cmd: bridge.Command{Value: "inf"}, err: "is not a number"},
		{e: mode, cmd: bridge.Command{Value: "eco"}, value: "eco", bytes: "MODE ECO\n"},
		{e: mode, cmd: bridge.Command{Value: "Eco"}, err: `"Eco" is not one of eco, boost`},
		{e: say, cmd: bridge.Command{Value: "hi \"x\""}, value: "hi \"x\"", bytes: "say \"hi \\\"x\\\"\"\n"},
		{e: say, cmd: bridge.Command{Value: "hi\nreset"}, err: "control characters"},
		{e: say, cmd: bridge.Command{Value: ""}, err: "is empty"},
		{e: beep, cmd: bridge.Command{}, value: "PRESS", bytes: "\a"},
	} {
		if err := tt.e.validate(); err != nil {
			t.Fatal(err)
		}
		w, err := compile(tt.e, nil)
		if err != nil {
			t.Fatal(err)
		}
		value, b, err := w.encode(tt.cmd, tt.now)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("encode(%+v) for %s = %q, %v, want %q within", tt.cmd, tt.e.ID, b, err, tt.err)
			}
			continue
		}
		if err != nil || value != tt.value || string(b) != tt.bytes {
			t.Errorf("encode(%+v) for %s = %q, %q, %v, want %q, %q", tt.cmd, tt.e.ID, value, b, err, tt.value, tt.bytes)
		}
	}
}
