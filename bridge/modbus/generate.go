package modbus

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"edge/bridge"
)

// maxTable is the longest register table that is read.
const maxTable = 1 << 20

// GenerateTemplate makes a template of a maker's register table in CSV, with commas,
// semicolons or tabs. The first line names the columns; those that it knows are in
// csvColumns, and others are left out. fromOne says that addresses are the numbers of
// many manuals, which count from 1, such as 40001 for the first holding register.
//
// The error has all mistakes, each as FILE:LINE:COLUMN.
func GenerateTemplate(file string, table io.Reader, fromOne bool) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(table, maxTable+1))
	if err == nil && len(data) > maxTable {
		err = fmt.Errorf("is larger than %d KiB", maxTable>>10)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	g := &generator{file: file, fromOne: fromOne, ids: map[string]int{}}
	g.read(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(g.errs) > 0 {
		return nil, errors.Join(g.errs...)
	}
	if len(g.entities) == 0 {
		return nil, fmt.Errorf("%s: there is no register in it", file)
	}
	return templateText(file, g.entities), nil
}

// A generator makes entities of rows and collects what is wrong with these.
type generator struct {
	file    string
	fromOne bool

	rows     *csv.Reader
	columns  map[string]column
	row      []string
	ids      map[string]int
	entities []Entity
	errs     []error
}

// A column is where something is, and what the name of the column says about it.
type column struct {
	index int
	note  string // what is in brackets: hex, bytes
}

// csvColumns are the names that a column may have, without what is no letter; earlier
// ones are better.
var csvColumns = map[string][]string{
	"address": {"address", "addr", "register", "reg", "registeraddress", "startaddress", "startreg", "startregister", "modbusaddress", "physicaladdress", "offset", "registernumber", "registerno", "number"},
	"name":    {"name", "parameter", "description", "variable", "variablename", "parametername", "registername", "quantity", "signal", "label", "measurement", "contents", "note", "notes", "remark", "comment"},
	"id":      {"id", "entity", "key"},
	"type":    {"type", "format", "datatype", "dataformat"},
	"unit":    {"unit", "units", "engunit"},
	"scale":   {"scale", "factor", "scalefactor", "multiplier", "multiplicator", "resolution", "res", "gain"},
	"divisor": {"divisor", "divider", "weight", "valueweight"},
	"access":  {"access", "rw", "readwrite", "mode", "rdwr"},
	"table":   {"table", "function", "functioncode", "fc", "registertype", "area"},
	"order":   {"order", "byteorder", "wordorder", "endianness"},
	"size":    {"size", "length", "words", "registers", "count"},
}

// errorf reports a mistake in a column of the current row; the row itself if that
// has no such column.
func (g *generator) errorf(key, format string, args ...any) {
	line, at := 1, 1
	if c, ok := g.columns[key]; ok && c.index < len(g.row) {
		line, at = g.rows.FieldPos(c.index)
	} else if len(g.row) > 0 {
		line, at = g.rows.FieldPos(0)
	}
	const enough = 20
	if len(g.errs) < enough {
		g.errs = append(g.errs, fmt.Errorf("%s:%d:%d: %w", g.file, line, at, fmt.Errorf(format, args...)))
	}
}

func (g *generator) read(data []byte) {
	g.rows = csv.NewReader(bytes.NewReader(data))
	g.rows.Comma = separator(data)
	g.rows.FieldsPerRecord = -1
	g.rows.TrimLeadingSpace = true
	for n := 0; ; n++ {
		var err error
		if g.row, err = g.rows.Read(); errors.Is(err, io.EOF) {
			return
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			g.errs = append(g.errs, fmt.Errorf("%s:%d:%d: %w", g.file, bad.Line, bad.Column, bad.Err))
			return
		}
		switch {
		case n == 0:
			if !g.header() {
				return
			}
		case len(g.entities) >= maxEntities:
			g.errorf("", "there are more than %d registers", maxEntities)
			return
		default:
			g.entity()
		}
	}
}

// separator returns what is most in the first line.
func separator(data []byte) rune {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	best := ','
	for _, r := range ";\t" {
		if strings.Count(string(line), string(r)) > strings.Count(string(line), string(best)) {
			best = r
		}
	}
	return best
}

// header finds the columns. It reports whether there are those that must be.
func (g *generator) header() bool {
	g.columns = map[string]column{}
	for key, names := range csvColumns {
		best := len(names)
		for i, title := range g.row {
			title, note, _ := strings.Cut(strings.ToLower(title), "(")
			letters := lettersOf(title)
			if plain, ok := strings.CutSuffix(letters, "hex"); ok {
				letters, note = plain, "hex"
			}
			if at := slices.Index(names, letters); at >= 0 && at < best {
				best, g.columns[key] = at, column{i, note}
			}
		}
	}
	for _, key := range []string{"address", "name"} {
		if _, ok := g.columns[key]; !ok {
			g.errorf(key, "no column for the %s; it may be called %s", key, strings.Join(csvColumns[key], ", "))
		}
	}
	return len(g.errs) == 0
}

// lettersOf keeps letters and digits of a text, in lower case.
func lettersOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// cell returns what the current row says in a column.
func (g *generator) cell(key string) string {
	c, ok := g.columns[key]
	if !ok || c.index >= len(g.row) {
		return ""
	}
	return strings.TrimSpace(g.row[c.index])
}

// entity makes an entity of the current row. One without an address, or with nothing
// else, is a heading.
func (g *generator) entity() {
	full := 0
	for _, cell := range g.row {
		if strings.TrimSpace(cell) != "" {
			full++
		}
	}
	if g.cell("address") == "" || full < 2 {
		return
	}
	before := len(g.errs)
	e := Entity{Name: strings.Join(strings.Fields(g.cell("name")), " ")}
	e.Table = g.tableOf(g.cell("table"))
	var size int
	e.Address, size = g.addressOf(g.cell("address"), &e.Table)
	e.Format = g.formatOf(g.cell("type"), g.sizeOf(g.cell("size"), size), &e)
	e.Order = g.orderOf(g.cell("order"))
	e.Scale = g.scaleOf(g.cell("scale"), g.cell("divisor"))
	e.Unit = unitOf(g.cell("unit"))
	e.Class, e.StateClass = classOf(e.Unit)
	g.accessOf(g.cell("access"), &e)
	e.ID = g.idOf(g.cell("id"), e)
	if len(g.errs) > before {
		return
	}
	if _, err := compile(e); err != nil {
		g.errorf("address", "%s: %w", e.ID, err)
		return
	}
	g.entities = append(g.entities, e)
}

// idOf makes a name for topics of the name for people, and a different one for each
// entity.
func (g *generator) idOf(id string, e Entity) string {
	if id == "" {
		id = e.Name
	}
	id = strings.Join(strings.FieldsFunc(strings.ToLower(id), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "_")
	const longest = 60
	if id = id[:min(len(id), longest)]; id == "" && e.Address != nil {
		id = "register_" + strconv.Itoa(int(*e.Address))
	}
	for {
		g.ids[id]++
		if n := g.ids[id]; n > 1 {
			id += "_" + strconv.Itoa(n)
			continue
		}
		return id
	}
}

// accessOf makes what can be written a number or a switch.
func (g *generator) accessOf(text string, e *Entity) {
	letters := lettersOf(text)
	if e.Table == Discrete || e.Table == Input || !strings.Contains(letters, "w") {
		if e.Table == Coil || e.Table == Discrete {
			e.Kind = bridge.BinarySensor
		}
		return
	}
	if letters == "w" || letters == "wo" || letters == "writeonly" {
		g.errorf("access", "what can only be written has no state; leave the row out")
	}
	e.Write, e.StateClass = true, ""
	switch {
	case e.Table == Coil:
		e.Kind = bridge.Switch
	case e.Format == String:
		e.Kind = bridge.Text
	default:
		e.Kind = bridge.Number
	}
}
