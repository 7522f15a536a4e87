package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/paho"
)

const formatHelp = `Formats of -F, as mosquitto_sub has them:
  %t topic   %p payload   %x %X payload in hexadecimal   %l its length
  %q QoS     %r retained  %m packet id                   %E expiry in seconds
  %C content type  %D correlation data  %R response topic  %F payload format
  %P user properties  %S subscription identifier
  %I time, ISO 8601  %U time, seconds since 1970  %j the message as JSON
  %J the same, with a payload that is JSON itself put in as it is
  %% percent sign    \n \t \r \a \e \0 \\ as in C`

// printer returns how messages are printed.
func (s *subscriber) printer() (func(*paho.Publish) error, error) {
	end := "\n"
	if s.noNewline {
		end = ""
	}
	switch {
	case s.json && s.format != "":
		return nil, errors.New("give --json or -F, not both")
	case s.json:
		return func(m *paho.Publish) error { return s.printJSON(m) }, nil
	case s.format != "":
		parts, err := parseFormat(s.format, s.pretty)
		if err != nil {
			return nil, err
		}
		return func(m *paho.Publish) error { return s.write(render(parts, m, time.Now()) + end) }, nil
	case s.verbose:
		return func(m *paho.Publish) error { return s.write(m.Topic + " " + string(m.Payload) + end) }, nil
	}
	return func(m *paho.Publish) error { return s.write(string(m.Payload) + end) }, nil
}

// write keeps a stranger's escape sequences off the terminal; into a pipe it
// puts exactly what came.
func (s *subscriber) write(text string) error {
	if isTerminal(s.out) {
		text = printable(text)
	}
	_, err := io.WriteString(s.out, text)
	return err
}

// printable replaces control characters by what they are called in Unicode's
// block of control pictures; tab and newline stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20:
			return 0x2400 + r
		case r == 0x7F:
			return 0x2421
		case r >= 0x80 && r < 0xA0:
			return utf8.RuneError
		}
		return r
	}, s)
}

// A received is a message as --json prints it.
type received struct {
	Time            time.Time       `json:"time"`
	Topic           string          `json:"topic"`
	QoS             byte            `json:"qos"`
	Retain          bool            `json:"retain"`
	Payload         *string         `json:"payload,omitempty"`         // UTF-8
	PayloadBase64   string          `json:"payload_base64,omitempty"`  // anything else
	JSON            json.RawMessage `json:"payload_json,omitempty"`    // only by %J
	ID              uint16          `json:"id,omitempty"`              // packet id
	Expiry          *uint32         `json:"expiry,omitempty"`          // seconds left
	ContentType     string          `json:"content_type,omitempty"`    //
	ResponseTopic   string          `json:"response_topic,omitempty"`  //
	CorrelationData string          `json:"correlation,omitempty"`     // base64
	Subscription    *int            `json:"subscription_id,omitempty"` //
	User            [][2]string     `json:"user,omitempty"`
}

func newReceived(m *paho.Publish, now time.Time) received {
	r := received{Time: now, Topic: m.Topic, QoS: m.QoS, Retain: m.Retain, ID: m.PacketID}
	if text := string(m.Payload); utf8.ValidString(text) {
		r.Payload = &text
	} else {
		r.PayloadBase64 = base64.StdEncoding.EncodeToString(m.Payload)
	}
	p := m.Properties
	r.Expiry, r.ContentType, r.ResponseTopic = p.MessageExpiry, p.ContentType, p.ResponseTopic
	r.CorrelationData = base64.StdEncoding.EncodeToString(p.CorrelationData)
	r.Subscription = p.SubscriptionIdentifier
	for _, u := range p.User {
		r.User = append(r.User, [2]string{u.Key, u.Value})
	}
	return r
}

func (s *subscriber) printJSON(m *paho.Publish) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	if s.pretty {
		e.SetIndent("", "  ")
	}
	return e.Encode(newReceived(m, time.Now()))
}

// A part of a format prints one thing of a message.
type part func(m *paho.Publish, now time.Time) string

func render(parts []part, m *paho.Publish, now time.Time) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p(m, now))
	}
	return b.String()
}

// parseFormat understands the format of -F.
func parseFormat(format string, pretty bool) ([]part, error) {
	var parts []part
	literal := func(s string) { parts = append(parts, func(*paho.Publish, time.Time) string { return s }) }
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' && c != '\\' {
			literal(string(c))
			continue
		}
		i++
		if i == len(format) {
			return nil, fmt.Errorf("-F: ends in the middle of %q", string(c))
		}
		if c == '\\' {
			s, ok := escapes[format[i]]
			if !ok {
				return nil, fmt.Errorf("-F: unknown escape \\%c", format[i])
			}
			literal(s)
			continue
		}
		p, ok := conversions[format[i]]
		switch {
		case format[i] == 'j' || format[i] == 'J':
			parts = append(parts, jsonPart(format[i] == 'J', pretty))
		case !ok:
			return nil, fmt.Errorf("-F: unknown format %%%c; edge sub --help lists them", format[i])
		default:
			parts = append(parts, p)
		}
	}
	return parts, nil
}

var escapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", 'a': "\a", 'e': "\x1b", '0': "\x00", 'v': "\v", '\\': "\\"}

var conversions = map[byte]part{
	'%': func(*paho.Publish, time.Time) string { return "%" },
	't': func(m *paho.Publish, _ time.Time) string { return m.Topic },
	'p': func(m *paho.Publish, _ time.Time) string { return string(m.Payload) },
	'x': func(m *paho.Publish, _ time.Time) string { return hex.EncodeToString(m.Payload) },
	'X': func(m *paho.Publish, _ time.Time) string { return strings.ToUpper(hex.EncodeToString(m.Payload)) },
	'l': func(m *paho.Publish, _ time.Time) string { return strconv.Itoa(len(m.Payload)) },
	'q': func(m *paho.Publish, _ time.Time) string { return strconv.Itoa(int(m.QoS)) },
	'm': func(m *paho.Publish, _ time.Time) string { return strconv.Itoa(int(m.PacketID)) },
	'r': func(m *paho.Publish, _ time.Time) string { return retainDigit(m) },
	'C': func(m *paho.Publish, _ time.Time) string { return m.Properties.ContentType },
	'D': func(m *paho.Publish, _ time.Time) string { return string(m.Properties.CorrelationData) },
	'R': func(m *paho.Publish, _ time.Time) string { return m.Properties.ResponseTopic },
	'E': func(m *paho.Publish, _ time.Time) string { return decimal(m.Properties.MessageExpiry) },
	'F': func(m *paho.Publish, _ time.Time) string { return decimal(m.Properties.PayloadFormat) },
	'S': func(m *paho.Publish, _ time.Time) string { return decimal(m.Properties.SubscriptionIdentifier) },
	'P': func(m *paho.Publish, _ time.Time) string { return userProperties(m) },
	'I': func(_ *paho.Publish, now time.Time) string { return now.Format("2006-01-02T15:04:05-0700") },
	'U': func(_ *paho.Publish, now time.Time) string {
		return fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond())
	},
}

func retainDigit(m *paho.Publish) string {
	if m.Retain {
		return "1"
	}
	return "0"
}

// decimal returns nothing for a property that is not there.
func decimal[T byte | uint32 | int](n *T) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

func userProperties(m *paho.Publish) string {
	var words []string
	for _, u := range m.Properties.User {
		words = append(words, u.Key+":"+u.Value)
	}
	return strings.Join(words, " ")
}

// jsonPart prints the message as an object; embed puts a payload that is JSON
// in as it is.
func jsonPart(embed, pretty bool) part {
	return func(m *paho.Publish, now time.Time) string {
		r := newReceived(m, now)
		if embed && json.Valid(m.Payload) {
			r.Payload, r.JSON = nil, m.Payload
		}
		marshal := json.Marshal
		if pretty {
			marshal = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }
		}
		b, err := marshal(r)
		if err != nil { // every field can be encoded, and the payload was checked
			return err.Error()
		}
		return string(b)
	}
}
