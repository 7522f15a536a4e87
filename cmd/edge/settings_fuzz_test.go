package main

import (
	"errors"
	"os"
	"testing"

	"edge/internal/config"
)

// FuzzSettings reads whole configurations: listeners, rules, bridges of all kinds.
// One is valid, or all its mistakes have a place.
func FuzzSettings(f *testing.F) {
	for _, file := range []string{documented, "demo.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("broker: {listeners: [{url: 'tcp://[fe80::1%25eth0]:1883', proxy: true, proxy_from: [\"::/0\"]}, {url: 'unix://'}]}")
	f.Add("bridges: {a: {serial: {port: x, format: regex, entities: [{id: b, pattern: '(?P<b>'}]}}}")
	f.Add("bridges: {a: {gpio: {pins: [{id: x, pin: 99}, {id: x, line: y, chip: 1}]}}, b: {tick: {}}}")
	f.Fuzz(func(t *testing.T, text string) {
		tree, err := config.Parse("edge.yaml", []byte(text))
		_, err = newPlan("edge.yaml", tree, err, nil)
		if err == nil {
			return
		}
		mistakes, ok := errors.AsType[configError](err)
		if !ok {
			t.Fatalf("%v is no mistake of the configuration", err)
		}
		for _, e := range mistakes.Errors {
			if e.File == "" || e.Message == "" {
				t.Errorf("a mistake without a place or a message: %+v", e)
			}
		}
	})
}
