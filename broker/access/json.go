package access

import (
	"bytes"
	"encoding/json"
	"fmt"

	"edge/internal/config"
)

// A jsonValue is a part of a JSON text that knows where it is.
type jsonValue struct {
	raw   json.RawMessage
	start int // offset in the whole text
}

// A jsonFile turns offsets into places.
type jsonFile struct {
	name string
	data []byte
}

// line returns the line and column, both from 1, of an offset.
func (f jsonFile) line(offset int) (line, column int) {
	before := f.data[:min(max(offset, 0), len(f.data))]
	newline := bytes.LastIndexByte(before, '\n')
	return bytes.Count(before, []byte("\n")) + 1, len([]rune(string(before[newline+1:]))) + 1
}

func (f jsonFile) errorf(at jsonValue, format string, args ...any) *config.Error {
	line, column := f.line(at.start)
	return mistake(f.name, line, column, format, args...)
}

// walk calls visit for each value of an array, or of an object with its key. A
// value that is absent or null has none.
func (v jsonValue) walk(visit func(key string, value jsonValue)) error {
	if len(v.raw) == 0 || string(v.raw) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(v.raw))
	open, err := d.Token()
	if err != nil {
		return err
	}
	if open != json.Delim('{') && open != json.Delim('[') {
		return fmt.Errorf("want an object or an array, not %s", v.raw)
	}
	for d.More() {
		key := ""
		if open == json.Delim('{') {
			t, err := d.Token()
			if err != nil {
				return err
			}
			key, _ = t.(string) // A key is nothing else.
		}
		var value jsonValue
		if err := d.Decode(&value.raw); err != nil {
			return err
		}
		value.start = v.start + int(d.InputOffset()) - len(value.raw)
		visit(key, value)
	}
	return nil
}
