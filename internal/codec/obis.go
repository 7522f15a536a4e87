package codec

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
)

// An object is what a meter measures or knows, by its OBIS code, A-B:C.D.E*F
// (IEC 62056-61): medium, channel, quantity, kind, tariff, and how long ago.
type object struct {
	medium, channel string // empty where the meter does not say
	code            string // C.D.E, or the C.D of old meters; C may be a letter
	past            string // empty, as 255, means now
}

// parseObject reads a code as meters write it, and as six bytes in hexadecimal.
func parseObject(s string) (o object) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == 6 {
		return objectOf(b)
	}
	if head, code, found := strings.Cut(s, ":"); found {
		s = code
		o.medium, o.channel, _ = strings.Cut(head, "-")
	}
	for _, mark := range []string{"*", "&"} { // & where it was set by hand
		if code, past, found := strings.Cut(s, mark); found {
			s, o.past = code, past
		}
	}
	o.code = s
	return o
}

// objectOf returns the object with the code of six bytes.
func objectOf(b []byte) object {
	n := func(i int) string { return strconv.Itoa(int(b[i])) }
	return object{n(0), n(1), n(2) + "." + n(3) + "." + n(4), n(5)}
}

// matches reports whether an object of a meter is what a key means. A medium or
// channel that is absent or * is any; what is past must be asked for.
func (key object) matches(o object) bool {
	free := func(key, got string) bool { return key == "" || key == "*" || key == got }
	now := func(past string) bool { return past == "" || past == "255" }
	return key.code == o.code && free(key.medium, o.medium) && free(key.channel, o.channel) &&
		(key.past == o.past || now(key.past) && now(o.past) || key.past == "*")
}

// media are devices behind the M-Bus of a meter, by the names that stand for
// their channel in keys (EN 13757-3, table 9): 0-gas:24.2.1 is what the gas meter
// has counted, on whichever channel it is.
var media = map[string]string{"electricity": "002", "gas": "003", "heat": "004", "warm": "006", "water": "007", "cold": "016"}

// printableBytes returns bytes as text where they are some, and else in
// hexadecimal.
func printableBytes(b []byte) string {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return strings.ToUpper(hex.EncodeToString(b))
		}
	}
	return string(b)
}

// isDigits reports whether s is made of digits.
func isDigits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r > '9' || !unicode.IsDigit(r) })
}
