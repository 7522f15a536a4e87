package modbus

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A makersTable is a file of testdata/templates: what the maker's document says of
// the registers of a type, typed from it a second time, and words with their values.
//
//	# a comment
//	with PARAMETER=VALUE ...               the lines that follow are for these
//	map ENTITY REGISTER FORMAT SCALE UNIT  the maker's row
//	read ENTITY WORDS [^POWER] = STATE     what the words mean; !… is part of an error
//	write ENTITY VALUE = FUNCTION ADDRESS WORDS
//
// REGISTER is as the document writes it: 30071 or 40071 counts from 1 and names the
// table, holding#3028 counts from 1, input@0x46 is as on the wire. FORMAT may have an
// order, s32/word. SCALE 10^@9 is a power of ten in the register with address 9.
type makersTable struct {
	t       *testing.T
	name    string
	line    int
	points  map[string]*point
	mapped  map[string]bool
	read    map[string]bool // formats, orders and scales with an example
	checked map[string]bool // parameters that were tried
}

func TestTemplatesAgainstMakersTables(t *testing.T) {
	names, err := TemplateNames("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { newMakersTable(t, name).run() })
	}
	files, err := filepath.Glob("testdata/templates/*.txt")
	if err != nil || len(files) != len(names) {
		t.Errorf("there are %d tables for %d templates, %v", len(files), len(names), err)
	}
}

func newMakersTable(t *testing.T, name string) *makersTable {
	return &makersTable{t: t, name: name, read: map[string]bool{}, checked: map[string]bool{}}
}

func (m *makersTable) run() {
	f, err := os.Open(filepath.Join("testdata/templates", m.name+".txt"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		m.line++
		if err := m.do(s.Text()); err != nil {
			m.t.Errorf("%s:%d: %s: %v", f.Name(), m.line, s.Text(), err)
		}
	}
	m.finish()
	m.covered()
}

func (m *makersTable) do(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] == "#" {
		return nil
	}
	if words[0] == "with" || m.points == nil {
		m.finish()
		var given []string
		if words[0] == "with" {
			given = words[1:]
		}
		if err := m.with(given); err != nil || words[0] == "with" {
			return err
		}
	}
	if len(words) < 2 || m.points[words[1]] == nil {
		return errors.New("the template has no such entity")
	}
	p := m.points[words[1]]
	what, want, _ := strings.Cut(strings.Join(words[2:], " "), " = ")
	switch words[0] {
	case "map":
		m.mapped[p.ID] = true
		return compareRow(p, words[2:])
	case "read":
		m.read[shape(p)] = true
		return compareState(p, what, want)
	case "write":
		return compareOrder(p, what, want)
	}
	return errors.New("want with, map, read or write")
}

// with resolves the template anew.
func (m *makersTable) with(given []string) error {
	parameters := map[string]string{}
	for _, g := range given {
		name, value, _ := strings.Cut(g, "=")
		parameters[name] = value
	}
	t, err := resolve("", m.name, parameters)
	if err != nil {
		return err
	}
	m.points, m.mapped = map[string]*point{}, map[string]bool{}
	for _, e := range t.Entities {
		if m.points[e.ID], err = compile(e); err != nil {
			return err
		}
	}
	delete(parameters, baseParameter)
	m.checked[told(parameters)] = true
	return nil
}

// finish reports entities that the maker's table does not have.
func (m *makersTable) finish() {
	for _, id := range slices.Sorted(maps.Keys(m.points)) {
		if !m.mapped[id] {
			m.t.Errorf("%s.txt: before line %d: no map line for %s", m.name, m.line, id)
		}
	}
}

// covered reports parameters that nobody tried and formats without an example.
func (m *makersTable) covered() {
	file, err := FindTemplate("", m.name)
	if err != nil {
		m.t.Fatal(err)
	}
	t, err := file.Parse()
	if err != nil {
		m.t.Fatal(err)
	}
	for _, parameters := range combinations(t.Parameters) {
		delete(parameters, baseParameter)
		if !m.checked[told(parameters)] {
			m.t.Errorf("%s.txt: nothing for %s", m.name, told(parameters))
		}
	}
	for _, e := range t.Entities {
		if p, err := compile(e); err == nil && !m.read[shape(p)] {
			m.t.Errorf("%s.txt: no read line for one like %s, %s", m.name, e.ID, shape(p))
		}
	}
}

// shape is what decoding depends on.
func shape(p *point) string {
	return fmt.Sprint(p.kind(), p.table().bits(), p.format(), p.order(), p.scale(), p.ScaleAddress != nil, len(p.Enum) > 0, p.OnValue)
}

// combinations returns all parameters that a configuration can have; those without
// values have their default.
func combinations(parameters map[string]Parameter) []map[string]string {
	all := []map[string]string{{}}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		p := parameters[name]
		values := p.Values
		if len(values) == 0 {
			values = []string{p.Default}
		}
		var next []map[string]string
		for _, base := range all {
			for _, v := range values {
				c := maps.Clone(base)
				c[name] = v
				next = append(next, c)
			}
		}
		all = next
	}
	return all
}

func compareRow(p *point, row []string) error {
	if len(row) != 4 {
		return errors.New("want REGISTER FORMAT SCALE UNIT")
	}
	table, address, err := makersRegister(row[0])
	if err != nil {
		return err
	}
	format, order, found := strings.Cut(row[1], "/")
	if !found {
		order = string(Big)
	}
	scale, unit := strconv.FormatFloat(p.scale(), 'g', -1, 64), p.Unit
	if p.ScaleAddress != nil {
		scale = fmt.Sprintf("10^@%d", *p.ScaleAddress)
	}
	if unit == "" {
		unit = "-"
	}
	got := fmt.Sprint(p.table(), *p.Address, p.format(), p.order(), scale, unit)
	want := fmt.Sprint(table, address, format, order, row[2], row[3])
	if got != want {
		return fmt.Errorf("the template has %s, the maker %s", got, want)
	}
	return nil
}

// makersRegister reads how documents write registers.
func makersRegister(s string) (Table, uint16, error) {
	table, number, fromOne := Table(""), "", false
	if before, after, found := strings.Cut(s, "#"); found {
		table, number, fromOne = Table(before), after, true
	} else if before, after, found := strings.Cut(s, "@"); found {
		table, number = Table(before), after
	} else if len(s) == 5 && s[0] == '3' {
		table, number, fromOne = Input, strings.TrimLeft(s[1:], "0"), true
	}
	v, err := strconv.ParseUint(number, 0, 16)
	if err != nil || table == "" {
		return "", 0, fmt.Errorf("%q is no register", s)
	}
	if fromOne {
		v--
	}
	return table, uint16(v), nil
}

func compareState(p *point, what, want string) error {
	hex, power, _ := strings.Cut(what, "^")
	words, err := wordsOf(hex)
	if err != nil {
		return err
	}
	exponent := 0
	if power != "" {
		if exponent, err = strconv.Atoi(power); err != nil {
			return err
		}
	}
	if (power != "") != (p.ScaleAddress != nil) {
		return errors.New("a power is for entities with a scale_address")
	}
	got, err := p.decode(words, exponent)
	if part, bad := strings.CutPrefix(want, "!"); bad {
		want = ""
		if err == nil || !strings.Contains(err.Error(), part) {
			return fmt.Errorf("got %q and the error %s, want one with %q", got, fmt.Sprint(err), part)
		}
	} else if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}

func compareOrder(p *point, value, want string) error {
	o, err := p.encode(value, "", 0)
	if err != nil {
		return err
	}
	got := fmt.Sprintf("%d 0x%04X", o.function, o.address)
	for _, w := range o.words {
		got += fmt.Sprintf(" %04X", w)
	}
	if got != want {
		return fmt.Errorf("got %s, want %s", got, want)
	}
	return nil
}

// wordsOf reads 4366 3334.
func wordsOf(hex string) (words []uint16, err error) {
	for h := range strings.FieldsSeq(hex) {
		w, err := strconv.ParseUint(h, 16, 16)
		if err != nil {
			return nil, err
		}
		words = append(words, uint16(w))
	}
	return words, nil
}
