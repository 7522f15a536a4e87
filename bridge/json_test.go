package bridge_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/bridge"
)

var since = time.Date(2026, 11, 23, 7, 8, 9, 123_456_789, time.FixedZone("CET", 3600))

func TestAttrJSON(t *testing.T) {
	for _, tt := range []struct {
		name string
		attr bridge.Attr
		want string
	}{
		{"zero", bridge.Attr{}, `{"quality":"good"}`},
		{
			"all",
			bridge.Attr{
				Quality: bridge.Bad, Error: "no \"answer\"", Cause: "timer", Since: since,
				Counters: map[string]uint64{"lost": 0, "edges": math.MaxUint64},
				Extra:    map[string]any{"zone": "ä", "lines": []int{1, 2}, "nested": map[string]any{"b": 1, "a": nil}},
			},
			`{"quality":"bad","error":"no \"answer\"","cause":"timer","since":"2026-11-23T06:08:09.123Z",` +
				`"counters":{"edges":18446744073709551615,"lost":0},"lines":[1,2],"nested":{"a":null,"b":1},"zone":"ä"}`,
		},
		{
			"offline",
			bridge.Attr{Quality: bridge.Offline, Extra: map[string]any{"n": uint64(math.MaxUint64)}},
			`{"quality":"offline","n":18446744073709551615}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) { testRoundTrip[bridge.Attr](t, tt.attr, tt.want) })
	}
}

func TestResultJSON(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result bridge.Result
		want   string
	}{
		{"short", bridge.Result{Status: bridge.StatusRefused, Reason: "retained"}, `{"status":"refused","reason":"retained"}`},
		{
			"all",
			bridge.Result{ID: "7", Status: bridge.StatusOK, Reason: "r", Value: "ON", Latency: 1_234_567 * time.Nanosecond},
			`{"id":"7","status":"ok","reason":"r","value":"ON","latency_ms":1.235}`,
		},
		{"long", bridge.Result{Status: bridge.StatusError, Latency: time.Hour}, `{"status":"error","latency_ms":3600000}`},
	} {
		t.Run(tt.name, func(t *testing.T) { testRoundTrip[bridge.Result](t, tt.result, tt.want) })
	}
}

// testRoundTrip writes v, compares, reads it and writes it again.
func testRoundTrip[T any](t *testing.T, v any, want string) {
	t.Helper()
	for range 2 {
		got, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("JSON (-want +got):\n%s", diff)
		}
		var back T
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("read %s: %v", got, err)
		}
		v = back
	}
}

func TestAttrJSONFails(t *testing.T) {
	for name, extra := range map[string]any{"since": "yesterday", "quality": "ok", "ratio": math.NaN()} {
		if b, err := json.Marshal(bridge.Attr{Extra: map[string]any{name: extra}}); err == nil {
			t.Errorf("extra attribute %s=%v is written as %s, want an error", name, extra, b)
		}
	}
	for _, payload := range []string{`[]`, `{"quality":1}`, `{"since":"yesterday"}`, `{"counters":{"a":-1}}`, `"good"`} {
		var a bridge.Attr
		if err := json.Unmarshal([]byte(payload), &a); err == nil {
			t.Errorf("read %s as %+v, want an error", payload, a)
		}
	}
}

// FuzzAttr reads anything; what can be read can be written and read again.
func FuzzAttr(f *testing.F) {
	for _, s := range []string{`{"quality":"bad","since":"2026-11-23T06:08:09.123Z","counters":{"a":1},"x":[1]}`, `{"Quality":"x"}`, `null`, `{"n":1e400}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a, back bridge.Attr
		if json.Unmarshal(b, &a) != nil {
			return
		}
		first, err := json.Marshal(a)
		if err != nil {
			t.Fatalf("write %+v: %v", a, err)
		}
		if err := json.Unmarshal(first, &back); err != nil {
			t.Fatalf("read %s: %v", first, err)
		}
		second, err := json.Marshal(back)
		if err != nil || string(second) != string(first) {
			t.Errorf("written %s, then read and written %s, %v", first, second, err)
		}
	})
}
