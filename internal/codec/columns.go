package codec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Text says how a line of text is cut.
type Text struct {
	Separator string   `yaml:"separator" doc:"What is between columns or pairs; if absent blanks for columns, a comma for csv, and any of blank, comma and semicolon for pairs."`
	Widths    []int    `yaml:"widths" doc:"For columns: their widths in bytes, instead of a separator; what is behind the last width is one column more."`
	Names     []string `yaml:"names" doc:"For columns and csv: the names of the columns; without them columns are numbered from 0, and csv takes names from the header line."`
	Equals    string   `yaml:"equals" doc:"For pairs: what is between a key and its value; = if absent."`
}

const (
	maxColumns = 1024 // of a line: a longer one is noise
	maxWidth   = 4096
)

// Validate reports everything that is wrong: a join of *FieldError.
func (t Text) Validate() error {
	var errs []error
	for i, w := range t.Widths {
		if w < 1 || w > maxWidth {
			errs = append(errs, wrong(fmt.Sprintf("widths[%d]", i), "%d is not between 1 and %d", w, maxWidth))
		}
	}
	if len(t.Widths) > 0 && t.Separator != "" {
		errs = append(errs, wrong("widths", "columns have either widths or a separator"))
	}
	for i, n := range t.Names {
		if n == "" || slices.Contains(t.Names[:i], n) {
			errs = append(errs, wrong(fmt.Sprintf("names[%d]", i), "%q is empty or is there twice", n))
		}
	}
	return errors.Join(errs...)
}

// Columns returns a decoder of lines of columns. Keys are names, if there are
// some, or indexes from 0.
func Columns(t Text) Decoder {
	return func(frame []byte) (Lookup, error) {
		columns, err := t.cut(string(frame))
		if err != nil {
			return nil, err
		}
		return named(t.Names, columns), nil
	}
}

// cut takes a line apart.
func (t Text) cut(line string) ([]string, error) {
	switch {
	case len(t.Widths) > 0:
		return t.slice(line)
	case t.Separator == "":
		columns := strings.Fields(line)
		if len(columns) == 0 || len(columns) > maxColumns {
			return nil, fmt.Errorf("has %d columns", len(columns))
		}
		return columns, nil
	}
	columns := strings.SplitN(line, t.Separator, maxColumns+1)
	if len(columns) > maxColumns {
		return nil, fmt.Errorf("has more than %d columns", maxColumns)
	}
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	return columns, nil
}

// slice takes a line of fixed widths apart. A line that ends early, as where
// blanks at its end are not sent, has fewer columns.
func (t Text) slice(line string) (columns []string, err error) {
	for _, w := range t.Widths {
		n := min(w, len(line))
		if n == 0 {
			break
		}
		columns, line = append(columns, strings.TrimSpace(line[:n])), line[n:]
	}
	if len(columns) == 0 {
		return nil, errors.New("is empty")
	}
	if line != "" {
		columns = append(columns, strings.TrimSpace(line))
	}
	return columns, nil
}

// named finds columns by name, or else by index.
func named(names, columns []string) Lookup {
	return func(key string) (Value, bool) {
		i := slices.Index(names, key)
		if i < 0 {
			var err error
			if i, err = strconv.Atoi(key); err != nil {
				return Value{}, false
			}
		}
		if i < 0 || i >= len(columns) || columns[i] == "" {
			return Value{}, false
		}
		return text(columns[i])
	}
}
