package config

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func testSections() Sections {
	return Sections{"bridges.*": {"gpio": relay{common: common{"edge"}}, "tick": struct{}{}}}
}

func TestSchemaIsWhatItWas(t *testing.T) {
	h := defaultHub()
	got, err := Schema(h, testSections())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/schema.json", string(got))
	for range 10 {
		if again, err := Schema(&h, testSections()); err != nil || !bytes.Equal(got, again) {
			t.Fatalf("Schema differs from one call to the next (%v)", err)
		}
	}
}

// The schema and Decode know the same keys.
func TestSchemaHasTheKeysOfDecode(t *testing.T) {
	data, err := Schema(defaultHub(), testSections())
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]json.RawMessage
	}
	var root, broker object
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(root.Properties["broker"], &broker); err != nil {
		t.Fatal(err)
	}
	for i, o := range []object{root, broker} {
		want := siblings[i]
		if len(o.Properties) != len(want) {
			t.Errorf("%d properties, want %q", len(o.Properties), want)
		}
		for _, key := range want {
			if o.Properties[key] == nil {
				t.Errorf("no property %q", key)
			}
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	type loop struct {
		Next []loop `yaml:"next"`
	}
	tests := []struct {
		name     string
		v        any
		sections Sections
		want     string
	}{
		{"a type that contains itself", loop{}, nil, "next.*: type config.loop contains itself"},
		{"a channel", struct {
			C chan int `yaml:"c"`
		}{}, nil, "c: type chan int cannot be read"},
		{"sections where there are none", hub{}, Sections{"broker": nil}, `no map of sections is at "broker"`},
	}
	for _, tt := range tests {
		if _, err := Schema(tt.v, tt.sections); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Schema of %s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
