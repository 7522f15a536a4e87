package codec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// CSV returns a decoder of lines of separated values with quotes (RFC 4180 §2;
// a value with a line feed in it cannot be, since that ends the line). Keys are
// the names in the header line, which the stick may send again at any time, or
// t.Names, or indexes from 0.
func CSV(t Text) Decoder {
	if t.Separator == "" {
		t.Separator = ","
	}
	names := t.Names
	return func(frame []byte) (Lookup, error) {
		columns, err := unquote(string(frame), t.Separator)
		if err != nil {
			return nil, err
		}
		if isHeader(columns, names) {
			if len(t.Names) == 0 {
				names = columns
			}
			return nothing, nil
		}
		if names != nil && len(columns) != len(names) {
			return nil, fmt.Errorf("has %d columns, not %d as the header", len(columns), len(names))
		}
		return named(names, columns), nil
	}
}

// isHeader tells a header line from a line of values. The first line whose
// columns are all there and none a number is one; later it must have a name that
// is known, so that on,off is not taken for names.
func isHeader(columns, names []string) bool {
	for _, c := range columns {
		if _, err := strconv.ParseFloat(c, 64); c == "" || err == nil {
			return false
		}
	}
	return names == nil || slices.ContainsFunc(columns, func(c string) bool { return slices.Contains(names, c) })
}

// unquote splits a line at sep, but not within quotes.
func unquote(line, sep string) (columns []string, err error) {
	for {
		var column string
		if column, line, err = firstColumn(line, sep); err != nil {
			return nil, err
		}
		if columns = append(columns, column); len(columns) > maxColumns {
			return nil, fmt.Errorf("has more than %d columns", maxColumns)
		}
		if line == "" {
			return columns, nil
		}
		line = line[len(sep):]
	}
}

// firstColumn takes one column off line, up to a separator or the end.
func firstColumn(line, sep string) (column, rest string, err error) {
	trimmed := strings.TrimLeft(line, " \t")
	if !strings.HasPrefix(trimmed, `"`) {
		column, _, _ = strings.Cut(line, sep)
		return strings.TrimSpace(column), line[len(column):], nil
	}
	var b strings.Builder
	for s := trimmed[1:]; ; {
		part, after, closed := strings.Cut(s, `"`)
		if !closed {
			return "", "", errors.New("a quote is not closed")
		}
		b.WriteString(part)
		if strings.HasPrefix(after, `"`) { // two are one
			b.WriteByte('"')
			s = after[1:]
			continue
		}
		after = strings.TrimLeft(after, " \t")
		if after != "" && !strings.HasPrefix(after, sep) {
			return "", "", errors.New("there is something behind a quote")
		}
		return b.String(), after, nil
	}
}
