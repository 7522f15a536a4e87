package codec

import (
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// OBIS decodes what a meter says in text: the telegram of a P1 port (DSMR 2.2 to
// 5, §6), the data readout of IEC 62056-21 §6.6, or a line of either:
//
//	/ISk5\2MT382-1000
//
//	1-0:1.8.1(123456.789*kWh)
//	0-1:24.2.1(101209112500W)(12785.123*m3)
//	!EF2F
//
// Keys are OBIS codes: 1.8.1 whatever stands before it, 1-0:1.8.1, 0-*:24.2.1
// from any channel, 0-gas:24.2.1 from the channel of the gas meter, 1.8.1*01
// of the month before. The value is in the first brackets that do not hold the
// time of it; /1 behind a code is what is in the second ones. The key
// identification is the line at the beginning.
func OBIS(frame []byte) (Lookup, error) {
	t, err := readTelegram(string(frame))
	if err != nil {
		return nil, err
	}
	return t.lookup, nil
}

const (
	maxRecords = 1024 // of a telegram
	maxGroups  = 256  // of a record: a load profile has many
)

// A record is an object with what stands in brackets behind it.
type record struct {
	object
	groups []string
}

type telegram struct {
	identification string
	records        []record
}

// readTelegram takes a telegram apart. Line ends do not matter: brackets on the
// next line belong to the code before, as with the gas meter in DSMR 2.2.
func readTelegram(s string) (t telegram, err error) {
	for s != "" {
		s = strings.TrimLeft(s, "\r\n\x02\x03 \x00")
		switch {
		case s == "" || s[0] == '!': // the end; what follows is a checksum
			s = ""
		case s[0] == '/':
			line, rest, _ := strings.Cut(s, "\n")
			t.identification, s = strings.TrimSpace(line[1:]), rest
		case s[0] == '(':
			if s, err = t.group(s[1:]); err != nil {
				return t, err
			}
		default:
			if s, err = t.record(s); err != nil {
				return t, err
			}
		}
	}
	if len(t.records) == 0 && t.identification == "" {
		return t, errors.New("has no OBIS code with a value")
	}
	return t, nil
}

// record begins a record and returns what is behind its code.
func (t *telegram) record(s string) (rest string, err error) {
	end := strings.IndexAny(s, "(\r\n")
	switch {
	case end < 0 || s[end] != '(':
		return "", errors.New("has a code without a value: " + short(s))
	case len(t.records) == maxRecords:
		return "", errors.New("has too many codes")
	}
	t.records = append(t.records, record{object: parseObject(strings.TrimSpace(s[:end]))})
	return s[end:], nil
}

// group adds what is in brackets to the record, and returns what is behind.
func (t *telegram) group(s string) (rest string, err error) {
	text, rest, closed := strings.Cut(s, ")")
	if !closed || strings.ContainsAny(text, "(\r\n") {
		return "", errors.New("has a bracket that is not closed: " + short(s))
	}
	if len(t.records) == 0 {
		return "", errors.New("begins with a bracket")
	}
	r := &t.records[len(t.records)-1]
	if len(r.groups) == maxGroups {
		return "", errors.New("has too many brackets")
	}
	r.groups = append(r.groups, text)
	if r.code == "24.3.0" && len(r.groups) == 7 {
		t.records = append(t.records, r.hourly())
	}
	return rest, nil
}

// hourly is the reading of a meter on M-Bus as DSMR 2.2 has it, as it is in
// later versions: time, status, period, number, then code, unit and value.
//
//	0-1:24.3.0(121030140000)(00)(60)(1)(0-1:24.2.1)(m3)
//	(00024.123)
func (r record) hourly() record {
	return record{parseObject(r.groups[4]), []string{r.groups[0], r.groups[6] + "*" + r.groups[5]}}
}

func (t telegram) lookup(key string) (Value, bool) {
	if key == "identification" {
		return Value{Text: t.identification}, t.identification != ""
	}
	key, index, indexed := strings.Cut(key, "/")
	o := parseObject(key)
	if number, named := media[o.channel]; named {
		var ok bool
		if o.channel, ok = t.channel(o.medium, number); !ok {
			return Value{}, false
		}
	}
	i := slices.IndexFunc(t.records, func(r record) bool { return o.matches(r.object) && len(r.groups) > 0 })
	if i < 0 {
		return Value{}, false
	}
	r := t.records[i]
	n := r.place()
	if indexed {
		var err error
		if n, err = strconv.Atoi(index); err != nil || n < 0 || n >= len(r.groups) {
			return Value{}, false
		}
	}
	return r.value(r.groups[n])
}

// channel finds on which channel a device of the type is that 24.1.0 tells.
func (t telegram) channel(medium, number string) (string, bool) {
	for _, r := range t.records {
		if r.code == "24.1.0" && r.medium == medium && len(r.groups) > 0 && padded(r.groups[0]) == number {
			return r.channel, true
		}
	}
	return "", false
}

// padded gives a number the three digits that it has since DSMR 4.
func padded(s string) string { return strings.Repeat("0", max(0, 3-len(s))) + s }

// place returns which brackets hold the value.
func (r record) place() int {
	if len(r.groups) == 2 && isTime(r.groups[0]) {
		return 1
	}
	return 0
}

// isTime knows YYMMDDhhmmss with S for summer or W for winter, which old meters
// leave out.
func isTime(s string) bool {
	return len(s) == 12 && isDigits(s) || len(s) == 13 && isDigits(s[:12]) && (s[12] == 'S' || s[12] == 'W')
}

// value reads VALUE*UNIT.
func (r record) value(group string) (Value, bool) {
	group = strings.TrimSpace(group)
	if isTime(group) && len(group) == 13 {
		return text(rfc3339(group))
	}
	number, unit, _ := strings.Cut(group, "*")
	// P1 has identifiers and texts as octets in hexadecimal (DSMR 5 §6.12).
	if id := strings.HasPrefix(r.code, "96.1.") || strings.HasPrefix(r.code, "96.13."); id && r.medium == "0" {
		if b, err := hex.DecodeString(number); err == nil {
			return text(printableBytes(b))
		}
	}
	return Value{Text: number, Unit: unit}, number != ""
}

// rfc3339 writes a time of a meter, of which winter is an hour ahead of UTC and
// summer two: P1 is for countries of one zone.
func rfc3339(s string) string {
	zone := "+01:00"
	if s[12] == 'S' {
		zone = "+02:00"
	}
	return "20" + s[:2] + "-" + s[2:4] + "-" + s[4:6] + "T" + s[6:8] + ":" + s[8:10] + ":" + s[10:12] + zone
}
