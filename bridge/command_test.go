package bridge_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"edge/bridge"
)

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct {
		payload string
		want    bridge.Command
	}{
		{"ON", bridge.Command{Value: "ON"}},
		{"21.5", bridge.Command{Value: "21.5"}},
		{" TOGGLE\r\n", bridge.Command{Value: "TOGGLE"}},
		{"warm white", bridge.Command{Value: "warm white"}},
		{"ä☃", bridge.Command{Value: "ä☃"}},
		{"true", bridge.Command{Value: "true"}},
		{`"ON"`, bridge.Command{Value: `"ON"`}},
		{`[1]`, bridge.Command{Value: `[1]`}},
		{strings.Repeat("x", 4096), bridge.Command{Value: strings.Repeat("x", 4096)}},
		{`{}`, bridge.Command{}},
		{`{"value":"ON"}`, bridge.Command{Value: "ON"}},
		{`{"value":" ON "}`, bridge.Command{Value: " ON "}},
		{`{"value":""}`, bridge.Command{}},
		{`{"value":21.50}`, bridge.Command{Value: "21.50"}},
		{`{"value":-1e3}`, bridge.Command{Value: "-1e3"}},
		{`{"value":true}`, bridge.Command{Value: "ON"}},
		{`{"value":false}`, bridge.Command{Value: "OFF"}},
		{"{ \"id\" : \"7\" }\n", bridge.Command{ID: "7"}},
		{`{"id":7}`, bridge.Command{ID: "7"}},
		{`{"value":"ON","id":"a","for":"5s"}`, bridge.Command{Value: "ON", ID: "a", For: 5 * time.Second}},
		{`{"for":"1h2m3.5s"}`, bridge.Command{For: time.Hour + 2*time.Minute + 3500*time.Millisecond}},
		{`{"for":5}`, bridge.Command{For: 5 * time.Second}},
		{`{"for":0.25}`, bridge.Command{For: 250 * time.Millisecond}},
		{`{"for":86400}`, bridge.Command{For: 24 * time.Hour}},
		{`{"at":"2026-01-31T12:00:00+01:00"}`, bridge.Command{At: time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)}},
		{`{"at":1769857200}`, bridge.Command{At: time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)}},
		{`{"at":1769857200.25}`, bridge.Command{At: time.Date(2026, 1, 31, 11, 0, 0, 25e7, time.UTC)}},
		{`{"at":"1769857200250"}`, bridge.Command{At: time.Date(2026, 1, 31, 11, 0, 0, 25e7, time.UTC)}},
	} {
		got, err := bridge.ParseCommand([]byte(tt.payload))
		if err != nil {
			t.Errorf("ParseCommand(%q): %v", tt.payload, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" { // which compares times as such
			t.Errorf("ParseCommand(%q) (-want +got):\n%s", tt.payload, diff)
		}
	}
}

func TestParseCommandFails(t *testing.T) {
	for _, tt := range []struct{ payload, id, want string }{
		{"", "", `command: is empty; want a value such as ON, or {"value":"ON","for":"5s"}`},
		{" \n", "", `command: is empty; want a value such as ON, or {"value":"ON","for":"5s"}`},
		{"\xff", "", "command: want UTF-8 text"},
		{"O\x00N", "", "command: has a zero byte; want text"},
		{strings.Repeat("x", 4097), "", "command of 4097 bytes: want at most 4096"},
		{"{", "", `command: begins like a JSON object, but is none (want {"value":"ON"}): unexpected EOF`},
		{"{ON}", "", `command: begins like a JSON object, but is none (want {"value":"ON"}): invalid character`},
		{`{"value"}`, "", `command: begins like a JSON object, but is none (want {"value":"ON"}): expected colon`},
		{`{"value":"ON"`, "", `command: begins like a JSON object, but is none (want {"value":"ON"}): unexpected EOF`},
		{`{"value":"ON"} x`, "", `command: there is something behind the JSON object`},
		{`{"value":"ON"}{}`, "", `command: there is something behind the JSON object`},
		{`{"value":"ON","value":"OFF"}`, "", `command: the key "value" is there twice`},
		{`{"Value":"ON"}`, "", `command: unknown key "Value"; want value, id, for or at`},
		{`{"id":"7","duration":5}`, "7", `command: unknown key "duration"; want value, id, for or at`},
		{`{"value":null}`, "", `command: value: want a string, a number, true or false`},
		{`{"value":["ON"]}`, "", `command: value: want a string, a number, true or false`},
		{`{"value":"\u0000"}`, "", `command: value: has a zero byte; want text`},
		{`{"id":true}`, "", `command: id: want a string or a number`},
		{`{"id":{}}`, "", `command: id: want a string or a number`},
		{`{"for":"5"}`, "", `command: for: "5" is no duration; want one such as "5s" or "1m30s", or a number of seconds`},
		{`{"for":"-5s"}`, "", `command: for: -5s is not a time to hold a value for; want more than zero`},
		{`{"for":0}`, "", `command: for: 0 is not a time to hold a value for; want more than zero`},
		{`{"for":1e-12}`, "", `command: for: 1e-12 is not a time to hold a value for; want more than zero`},
		{`{"for":1e10}`, "", `command: for: 1e10 seconds is too long`},
		{`{"for":-1e300}`, "", `command: for: -1e300 is not a time to hold a value for; want more than zero`},
		{`{"for":1e400}`, "", `command: for: 1e400 seconds is too long`},
		{`{"at":"noon"}`, "", `command: at: "noon" is no time; want one such as 2026-01-31T12:00:00Z, or seconds or milliseconds since 1970`},
		{`{"at":-1}`, "", `command: at: "-1" is no time`},
		{`{"at":1e14}`, "", `command: at: "1e14" is no time`},
		{`{"at":"NaN"}`, "", `command: at: "NaN" is no time`},
		{`{"at":true}`, "", `command: at: want a time`},
		{`{"id":7,"lock":"5m"}`, "7", `command: this entity cannot be locked (lock)`},
		{`{"for":true}`, "", `command: for: want a duration such as "5s", or a number of seconds`},
	} {
		got, err := bridge.ParseCommand([]byte(tt.payload))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) { // encoding/json may add to it
			t.Errorf("ParseCommand(%.40q): %v\nwant %s", tt.payload, err, tt.want)
		}
		if diff := cmp.Diff(bridge.Command{ID: tt.id}, got); diff != "" {
			t.Errorf("ParseCommand(%.40q) beside its error (-want +got):\n%s", tt.payload, diff)
		}
	}
}

// TestParseLock has the keys that only some entities have.
func TestParseLock(t *testing.T) {
	for _, tt := range []struct {
		payload string
		want    bridge.Command
		err     string
	}{
		{`{"value":"OFF","lock":"10m","owner":"maintenance"}`, bridge.Command{Value: "OFF", Lock: 10 * time.Minute, Owner: "maintenance"}, ""},
		{`{"unlock":true}`, bridge.Command{Unlock: true}, ""},
		{`{"unlock":false}`, bridge.Command{}, "command: unlock: want true"},
		{`{"lock":5,"unlock":true}`, bridge.Command{}, "command: lock and unlock: want one of them"},
		{`{"owner":"` + strings.Repeat("x", 65) + `"}`, bridge.Command{}, "command: owner: has more than 64 bytes"},
	} {
		got, err := bridge.ParseCommand([]byte(tt.payload), bridge.LockKeys...)
		if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("ParseCommand(%.60q): %v, want %s", tt.payload, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseCommand(%.60q) (-want +got):\n%s", tt.payload, diff)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"ON", `{"value":21.5,"id":"7","for":"5s"}`, `{"for":1.5}`, `{"value":true,`, `{"lock":5,"owner":"x","at":1769857200}`, "{}", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		cmd, err := bridge.ParseCommand(payload, bridge.LockKeys...)
		switch {
		case err != nil && (cmd.Value != "" || cmd.For != 0):
			t.Errorf("got %+v with the error %v", cmd, err)
		case cmd.Lock < 0 || cmd.At.Year() > 5138:
			t.Errorf("got %+v", cmd)
		case cmd.For < 0:
			t.Errorf("for is negative: %v", cmd.For)
		case !utf8.ValidString(cmd.Value) || !utf8.ValidString(cmd.ID) || strings.Contains(cmd.Value+cmd.ID, "\x00"):
			t.Errorf("not text: %+v", cmd)
		}
	})
}
