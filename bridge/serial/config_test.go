package serial

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/bridge"
	"edge/internal/config"
)

func valid() Config {
	c := DefaultConfig()
	c.Port = "usb-FTDI_*"
	c.Entities = []Entity{{ID: "temperature", Unit: "°C"}}
	return c
}

// places returns the paths of all mistakes.
func places(t *testing.T, err error) (paths []string) {
	t.Helper()
	switch e := err.(type) { //nolint:errorlint // The tree of joined errors is walked here.
	case nil:
		return nil
	case *config.FieldError:
		return []string{e.Path}
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			paths = append(paths, places(t, err)...)
		}
		return paths
	}
	t.Fatalf("%v (%T) has no place", err, err)
	return nil
}

func TestValidateTellsAll(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"good", func(*Config) {}, nil},
		{
			"empty", func(c *Config) { *c = Config{} },
			[]string{"port", "max_line", "delimiter", "format", "write_timeout", "entities"},
		},
		{"line", func(c *Config) {
			c.Port, c.Baud, c.DataBits, c.Parity, c.StopBits, c.Flow = "usb-[", 1, 9, "strange", 3, "dtr"
		}, []string{"port", "baud", "data_bits", "parity", "stop_bits", "flow"}},
		{
			"times", func(c *Config) { c.Heartbeat, c.StaleAfter, c.WriteTimeout = -1, -1, time.Hour },
			[]string{"heartbeat", "stale_after", "write_timeout"},
		},
		{
			"delimiter", func(c *Config) { c.Delimiter, c.MaxLine = strings.Repeat("x", 9), 1<<16+1 },
			[]string{"max_line", "delimiter"},
		},
		{"pattern without regex", func(c *Config) { c.Pattern = "x" }, []string{"pattern"}},
		{"regex without pattern", func(c *Config) { c.Format = Regex }, []string{"pattern"}},
		{"bad pattern", func(c *Config) { c.Format, c.Pattern = Regex, "(" }, []string{"pattern"}},
		{"pattern without groups", func(c *Config) { c.Format, c.Pattern = Regex, "(x)" }, []string{"pattern"}},
		{"group for nobody", func(c *Config) { c.Format, c.Pattern = Regex, "(?P<t>x)" }, []string{"entities[0].key"}},
		{"group by key", func(c *Config) { c.Format, c.Pattern, c.Entities[0].Key = Regex, "(?P<t>x)", "t" }, nil},
		{"two values in one", func(c *Config) {
			c.Format, c.Entities = Value, []Entity{{ID: "a"}, {ID: "b"}, {ID: "c", Kind: bridge.Button, Command: "x"}}
		}, []string{"entities[1]"}},
		{
			"ids", func(c *Config) { c.Entities = []Entity{{ID: "a"}, {ID: "a"}, {ID: "B"}, {}, {ID: "meta"}} },
			[]string{"entities[1].id", "entities[2].id", "entities[3].id", "entities[4].id"},
		},
		{"entity", func(c *Config) {
			c.Entities = []Entity{
				{ID: "a", Kind: "lamp"},
				{ID: "b", Kind: bridge.Switch},
				{ID: "c", Command: "x"},
				{ID: "d", Kind: bridge.Switch, Unit: "V", Command: "x"},
				{ID: "e", Kind: bridge.BinarySensor, OnValue: "1"},
				{ID: "f", OnValue: "1", OffValue: "0"},
				{ID: "g", Min: new(2.0), Max: new(1.0)},
				{ID: "h", Scale: math.Inf(1)},
				{ID: "i", Optimistic: true},
				{ID: "j", Kind: bridge.Text, Options: []string{""}},
				{ID: "k", Kind: bridge.Text},
			}
		}, []string{
			"entities[0].kind", "entities[1].command", "entities[2].command", "entities[3].kind",
			"entities[4].on_value", "entities[5].on_value", "entities[6].min", "entities[7].scale",
			"entities[8].optimistic", "entities[9].options",
		}},
		{"templates", func(c *Config) {
			c.Entities = nil
			for i, text := range []string{"{{.Value", "{{.Nobody}}", "{{if false}}x{{end}}", "{{.Value | reverse}}", "ok"} {
				c.Entities = append(c.Entities, Entity{ID: string(rune('a' + i)), Kind: bridge.Button, Command: text})
			}
		}, []string{"entities[0].command", "entities[1].command", "entities[2].command", "entities[3].command"}},
	} {
		c := valid()
		tt.change(&c)
		err := c.Validate()
		less := func(s []string) map[string]int {
			m := map[string]int{}
			for _, p := range s {
				m[p]++
			}
			return m
		}
		if diff := cmp.Diff(less(tt.want), less(places(t, err))); diff != "" {
			t.Errorf("%s: mistakes at (-want +got):\n%s%v", tt.name, diff, err)
		}
	}
}

func TestValidateKeepsTheCause(t *testing.T) {
	c := valid()
	c.Baud = 7
	var field *config.FieldError
	if err := c.Validate(); !errors.As(err, &field) || field.Error() != "baud: 7 is not between 50 and 12000000" {
		t.Errorf("Validate = %v, want baud: 7 is not between 50 and 12000000", err)
	}
}
