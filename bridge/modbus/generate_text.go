package modbus

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"edge/bridge"
)

// templateText writes a template as a person would who is in a hurry.
func templateText(file string, entities []Entity) []byte {
	var b bytes.Buffer
	base := filepath.Base(file)
	name := strings.TrimSuffix(base, filepath.Ext(base))
	fmt.Fprintf(&b, "# Made of %s by edge modbus generate; compare it with the maker's document.\n", quoteText(base))
	fmt.Fprintf(&b, "name: %s\nmanufacturer: \"\"\nmodel: \"\"\nsource: \"\"\nentities:\n", yamlText(name))
	for _, e := range entities {
		fmt.Fprintf(&b, "- {%s}\n", strings.Join(e.pairs(), ", "))
	}
	return b.Bytes()
}

// quoteText keeps a file's name from ending a comment.
func quoteText(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

// pairs returns the keys that GenerateTemplate sets, with their values.
func (e Entity) pairs() (pairs []string) {
	add := func(key, value string) {
		if value != "" {
			pairs = append(pairs, key+": "+value)
		}
	}
	add("id", yamlText(e.ID))
	add("name", yamlText(e.Name))
	if e.Kind != bridge.Sensor {
		add("kind", string(e.Kind))
	}
	add("class", e.Class)
	add("unit", yamlText(e.Unit))
	add("state_class", string(e.StateClass))
	add("table", string(e.table()))
	add("address", fmt.Sprintf("0x%04X", *e.Address))
	add("format", string(e.Format))
	if e.Length > 0 {
		add("length", strconv.Itoa(e.Length))
	}
	add("order", string(e.Order))
	if e.Scale != 0 {
		add("scale", formatNumber(e.Scale))
	}
	if e.Write {
		add("write", "true")
	}
	return pairs
}

// yamlText writes a text so that YAML takes it for nothing else.
func yamlText(s string) string {
	plain := s != "" && strings.Trim(s[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/ ") == "" && !strings.HasSuffix(s, " ")
	switch strings.ToLower(s) {
	case "":
		return ""
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}
