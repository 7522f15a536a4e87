package codec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// NMEA decodes a sentence of NMEA 0183 (IEC 61162-1), of any talker:
//
//	$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*57
//
// Keys are the names in nmeaFields, such as latitude (in degrees, south and west
// below 0) or speed; GSV.in_view or GPGSV.in_view only from these sentences; RMC.3
// is what stands in the third place. Before a receiver has a fix there is no
// position. A checksum that is there is checked.
func NMEA(frame []byte) (Lookup, error) {
	body, err := nmeaBody(string(frame))
	if err != nil {
		return nil, err
	}
	address, rest, _ := strings.Cut(body, ",")
	if len(address) < 4 || len(address) > 8 || strings.ContainsFunc(address, isNotName) {
		return nil, errors.New("has no address of NMEA 0183")
	}
	s := sentence{address, strings.Split(rest, ",")}
	if len(s.fields) > maxGroups {
		return nil, errors.New("has too many fields")
	}
	return s.lookup, nil
}

func isNotName(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') }

// nmeaBody returns what is between $ and *, whose bytes combined by exclusive or
// are the checksum.
func nmeaBody(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || s[0] != '$' && s[0] != '!' {
		return "", errors.New("does not begin with $")
	}
	body, sum, found := strings.Cut(s[1:], "*")
	if !found {
		return body, nil
	}
	x := byte(0)
	for i := range len(body) {
		x ^= body[i]
	}
	if want, err := strconv.ParseUint(sum, 16, 8); err != nil || byte(want) != x {
		return "", fmt.Errorf("has the checksum %s, not %02X", short(sum), x)
	}
	return body, nil
}

// A sentence is its address, of talker and formatter, and its fields.
type sentence struct {
	address string
	fields  []string
}

// formatter returns the three letters that say what the fields are.
func (s sentence) formatter() string { return s.address[max(0, len(s.address)-3):] }

// at returns field i, counted from 1 as in tables of the standard.
func (s sentence) at(i int) string {
	if i < 1 || i > len(s.fields) {
		return ""
	}
	return s.fields[i-1]
}

func (s sentence) lookup(key string) (Value, bool) {
	if from, name, found := strings.Cut(key, "."); found {
		if from != s.address && from != s.formatter() {
			return Value{}, false
		}
		key = name
	}
	if i, err := strconv.Atoi(key); err == nil {
		return Value{Text: s.at(i)}, s.at(i) != ""
	}
	f, ok := nmeaFields[s.formatter()][key]
	if !ok {
		return Value{}, false
	}
	if f.fix && !s.fixed() {
		return trouble("the receiver has no fix")
	}
	v := Value{Text: s.at(f.at), Unit: f.unit}
	if f.read != nil {
		v.Text = f.read(s, f.at)
	}
	return v, v.Text != ""
}

// fixed reports whether the receiver says that it knows where it is.
func (s sentence) fixed() bool {
	switch s.formatter() {
	case "RMC":
		return s.at(2) == "A"
	case "GLL":
		return s.at(6) == "A"
	case "GGA":
		return s.at(6) != "0" && s.at(6) != ""
	case "GSA":
		return s.at(2) == "2" || s.at(2) == "3"
	case "VTG":
		return s.at(9) != "N"
	}
	return true
}

// An nmeaField is one value of a sentence.
type nmeaField struct {
	at   int // from 1
	unit string
	fix  bool // it means nothing without a fix
	read func(s sentence, at int) string
}

// nmeaFields are the values by sentence and name.
var nmeaFields = map[string]map[string]nmeaField{
	"RMC": {
		"time": {at: 1, read: clock}, "valid": {at: 2, read: sentence.valid}, "date": {at: 9, read: date}, "datetime": {at: 1, read: datetime},
		"latitude": {at: 3, unit: "°", fix: true, read: degrees}, "longitude": {at: 5, unit: "°", fix: true, read: degrees},
		"speed": {at: 7, unit: "kn", fix: true}, "course": {at: 8, unit: "°", fix: true},
	},
	"GLL": {
		"latitude": {at: 1, unit: "°", fix: true, read: degrees}, "longitude": {at: 3, unit: "°", fix: true, read: degrees},
		"time": {at: 5, read: clock}, "valid": {at: 6, read: sentence.valid},
	},
	"GGA": {
		"time": {at: 1, read: clock}, "latitude": {at: 2, unit: "°", fix: true, read: degrees}, "longitude": {at: 4, unit: "°", fix: true, read: degrees},
		"quality": {at: 6}, "satellites": {at: 7}, "hdop": {at: 8, fix: true},
		"altitude": {at: 9, unit: "m", fix: true}, "geoid": {at: 11, unit: "m", fix: true},
	},
	"GSA": {"fix": {at: 2}, "pdop": {at: 15, fix: true}, "hdop": {at: 16, fix: true}, "vdop": {at: 17, fix: true}},
	"VTG": {"course": {at: 1, unit: "°", fix: true}, "speed": {at: 5, unit: "kn", fix: true}},
	"GSV": {"in_view": {at: 3}},
}

func (s sentence) valid(at int) string { return map[string]string{"A": "true", "V": "false"}[s.at(at)] }

// degrees reads ddmm.mmmm and a hemisphere in the field behind.
func degrees(s sentence, at int) string {
	whole := strings.IndexByte(s.at(at)+".", '.') - 2
	if whole < 1 {
		return ""
	}
	d, err := strconv.ParseUint(s.at(at)[:whole], 10, 8)
	minutes, err2 := strconv.ParseFloat(s.at(at)[whole:], 64)
	if err != nil || err2 != nil || !(minutes >= 0 && minutes < 60) {
		return ""
	}
	v := float64(d) + minutes/60
	if h := s.at(at + 1); h == "S" || h == "W" {
		v = -v
	}
	return strconv.FormatFloat(v, 'f', 7, 64) // about a centimetre
}

// clock reads hhmmss.ss.
func clock(s sentence, at int) string {
	t := s.at(at)
	if len(t) < 6 || !isDigits(t[:6]) {
		return ""
	}
	return t[:2] + ":" + t[2:4] + ":" + t[4:]
}

// date reads ddmmyy; GPS began in 1980.
func date(s sentence, at int) string {
	d := s.at(at)
	if len(d) != 6 || !isDigits(d) {
		return ""
	}
	century := "20"
	if d[4] >= '8' {
		century = "19"
	}
	return century + d[4:] + "-" + d[2:4] + "-" + d[:2]
}

// datetime joins the date and time of RMC, which are in UTC.
func datetime(s sentence, at int) string {
	day, t := date(s, 9), clock(s, at)
	if day == "" || t == "" {
		return ""
	}
	return day + "T" + t + "Z"
}
