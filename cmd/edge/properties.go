package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/eclipse/paho.golang/paho"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// properties are what -D COMMAND NAME VALUE asks for, by the packet that
// carries them (MQTT 5.0, section 2.2.2.2).
type properties struct {
	connect    paho.ConnectProperties
	publish    paho.PublishProperties
	will       paho.WillProperties
	subscribe  paho.SubscribeProperties
	disconnect paho.DisconnectProperties
}

// separator joins the words of one -D into the one word that a flag can have.
const separator = "\x1f"

func (p *properties) String() string { return "" }

// Type implements pflag.Value.
func (p *properties) Type() string { return "property" }

// Set takes the words of one -D, joined.
func (p *properties) Set(s string) error {
	words := strings.Split(s, separator)
	known, ok := propertyTable[words[0]]
	if !ok {
		return fmt.Errorf("command %q: must be one of %s", words[0], names(propertyTable))
	}
	if len(words) < 2 {
		return fmt.Errorf("%s needs a name and a value", words[0])
	}
	set, ok := known[words[1]]
	if !ok {
		return fmt.Errorf("property %q of %s: must be one of %s", words[1], words[0], names(known))
	}
	want := 3
	if words[1] == userProperty {
		want = 4
	}
	if len(words) != want {
		return fmt.Errorf("%s %s needs %d more words", words[0], words[1], want-2)
	}
	return set(p, words[2:])
}

func names[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

const userProperty = "user-property"

type propertySetter = func(p *properties, v []string) error

var propertyTable = map[string]map[string]propertySetter{
	"connect": {
		"receive-maximum":         number(func(p *properties) **uint16 { return &p.connect.ReceiveMaximum }),
		"session-expiry-interval": number(func(p *properties) **uint32 { return &p.connect.SessionExpiryInterval }),
		"maximum-packet-size":     number(func(p *properties) **uint32 { return &p.connect.MaximumPacketSize }),
		"topic-alias-maximum":     number(func(p *properties) **uint16 { return &p.connect.TopicAliasMaximum }),
		userProperty:              pair(func(p *properties) *paho.UserProperties { return &p.connect.User }),
	},
	"publish": {
		"content-type":             text(func(p *properties) *string { return &p.publish.ContentType }),
		"response-topic":           text(func(p *properties) *string { return &p.publish.ResponseTopic }),
		"correlation-data":         data(func(p *properties) *[]byte { return &p.publish.CorrelationData }),
		"message-expiry-interval":  number(func(p *properties) **uint32 { return &p.publish.MessageExpiry }),
		"payload-format-indicator": number(func(p *properties) **byte { return &p.publish.PayloadFormat }),
		userProperty:               pair(func(p *properties) *paho.UserProperties { return &p.publish.User }),
	},
	"will": {
		"content-type":             text(func(p *properties) *string { return &p.will.ContentType }),
		"response-topic":           text(func(p *properties) *string { return &p.will.ResponseTopic }),
		"correlation-data":         data(func(p *properties) *[]byte { return &p.will.CorrelationData }),
		"message-expiry-interval":  number(func(p *properties) **uint32 { return &p.will.MessageExpiry }),
		"payload-format-indicator": number(func(p *properties) **byte { return &p.will.PayloadFormat }),
		"will-delay-interval":      number(func(p *properties) **uint32 { return &p.will.WillDelayInterval }),
		userProperty:               pair(func(p *properties) *paho.UserProperties { return &p.will.User }),
	},
	"subscribe": {
		"subscription-identifier": subscriptionIdentifier,
		userProperty:              pair(func(p *properties) *paho.UserProperties { return &p.subscribe.User }),
	},
	"disconnect": {
		"session-expiry-interval": number(func(p *properties) **uint32 { return &p.disconnect.SessionExpiryInterval }),
		"reason-string":           text(func(p *properties) *string { return &p.disconnect.ReasonString }),
		userProperty:              pair(func(p *properties) *paho.UserProperties { return &p.disconnect.User }),
	},
}

func text(field func(*properties) *string) propertySetter {
	return func(p *properties, v []string) error { *field(p) = v[0]; return nil }
}

func data(field func(*properties) *[]byte) propertySetter {
	return func(p *properties, v []string) error { *field(p) = []byte(v[0]); return nil }
}

func pair(field func(*properties) *paho.UserProperties) propertySetter {
	return func(p *properties, v []string) error { field(p).Add(v[0], v[1]); return nil }
}

func number[T byte | uint16 | uint32](field func(*properties) **T) propertySetter {
	return func(p *properties, v []string) error {
		limit := ^T(0)
		n, err := strconv.ParseUint(v[0], 10, 64)
		if err != nil || n > uint64(limit) {
			return fmt.Errorf("%q: must be a whole number from 0 to %d", v[0], limit)
		}
		value := T(n)
		*field(p) = &value
		return nil
	}
}

// subscriptionIdentifier is a variable byte integer other than 0 (section
// 3.8.2.1.2).
func subscriptionIdentifier(p *properties, v []string) error {
	n, err := strconv.Atoi(v[0])
	if err != nil || n < 1 || n > 268435455 {
		return fmt.Errorf("%q: must be a whole number from 1 to 268435455", v[0])
	}
	p.subscribe.SubscriptionIdentifier = &n
	return nil
}

// foldProperties joins the three or four words of each -D in args into one,
// since a flag of the flag library takes one word only.
func foldProperties(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil || cmd.Flags().Lookup("property") == nil {
		return args
	}
	var out []string
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		flag, values := flagOf(cmd, word)
		switch {
		case word == "--":
			return append(append(out, word), args...)
		case flag == nil || values > 0: // no flag, or one that holds its value already
			out = append(out, word)
		case flag.Name == "property":
			n := min(propertyWords(args), len(args))
			out = append(out, "--property="+strings.Join(args[:n], separator))
			args = args[n:]
		default: // a flag whose value is the next word
			n := min(1, len(args))
			out = append(append(out, word), args[:n]...)
			args = args[n:]
		}
	}
	return out
}

// propertyWords returns how many words belong to a -D that args follow.
func propertyWords(args []string) int {
	if len(args) > 1 && args[1] == userProperty {
		return 4
	}
	return 3
}

// flagOf returns the flag in word that takes a value, and how many values word
// itself holds: the 1 of --qos=1 and of -q1, the 0 of -q.
func flagOf(cmd *cobra.Command, word string) (flag *pflag.Flag, values int) {
	if name, ok := strings.CutPrefix(word, "--"); ok {
		name, _, has := strings.Cut(name, "=")
		f := cmd.Flag(name)
		if f == nil || f.NoOptDefVal != "" {
			return nil, 0
		}
		if has {
			values = 1
		}
		return f, values
	}
	if len(word) < 2 || word[0] != '-' {
		return nil, 0
	}
	for i := 1; i < len(word); i++ {
		f := cmd.Flags().ShorthandLookup(word[i : i+1])
		switch {
		case f == nil:
			return nil, 0
		case f.NoOptDefVal != "":
			continue
		case i < len(word)-1:
			return f, 1
		}
		if i > 1 && f.Name == "property" { // -vD: leave the others to the library
			return nil, 0
		}
		return f, 0
	}
	return nil, 0
}
