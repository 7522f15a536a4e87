package serial

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"edge/bridge"
	"edge/internal/codec"
	"edge/internal/config"
)

// Encode makes the bytes of a command, where that is no text.
type Encode struct {
	As     Encoding          `yaml:"as" doc:"binary (see bytes and fields), or an object with the value under the key of the entity: json, cbor or msgpack."`
	Bytes  string            `yaml:"bytes" doc:"For binary: the frame in hexadecimal, before fields are written into it."`
	Fields codec.Table       `yaml:"fields" doc:"For binary: where in bytes the value stands, as the field with the key value, and what else is constant."`
	With   map[string]string `yaml:"with" doc:"For objects: what else they hold; numbers, true and false go as such. For a button this is all."`
	End    string            `yaml:"end" doc:"What is sent behind it, such as a line feed."`
}

// An Encoding says how a command is written.
type Encoding string

// The encodings.
const (
	NoEncoding    Encoding = "" // by the template in Command
	AsBinary      Encoding = "binary"
	AsJSON        Encoding = "json"
	AsCBOR        Encoding = "cbor"
	AsMessagePack Encoding = "msgpack"
)

// Values lists what an Encoding may be.
func (Encoding) Values() []string { return []string{"", "binary", "json", "cbor", "msgpack"} }

var appenders = map[Encoding]codec.Appender{
	AsJSON: codec.AppendJSON, AsCBOR: codec.AppendCBOR, AsMessagePack: codec.AppendMessagePack,
}

// valueKey is the field that a command's value is written to.
const valueKey = "value"

// checkEncode reports everything that is wrong with Encode.
func (e *Entity) checkEncode() (errs []error) {
	wrong := func(path, format string, args ...any) {
		errs = append(errs, config.Errorf("encode."+path, format, args...))
	}
	c := e.Encode
	if !slices.Contains(c.As.Values(), string(c.As)) {
		wrong("as", "%q is not one of binary, json, cbor, msgpack", c.As)
		return errs
	}
	if c.As != NoEncoding && e.Command != "" {
		wrong("as", "a command is either a template or encoded")
	}
	if (c.As == AsBinary) != (c.Bytes != "") {
		wrong("bytes", "must be set for binary, and for nothing else")
	}
	if c.As != AsBinary && c.Fields != nil {
		wrong("fields", "is for binary")
	}
	if appenders[c.As] == nil && c.With != nil {
		wrong("with", "is for json, cbor and msgpack")
	}
	if c.As == NoEncoding && c.End != "" {
		wrong("as", "must be set")
	}
	if c.As != AsBinary {
		return errs
	}
	if _, err := c.frame(); err != nil {
		wrong("bytes", "%w", err)
	}
	if e.kind() != bridge.Button && !c.Fields.Has(valueKey) {
		wrong("fields", "needs one with the key %s", valueKey)
	}
	return append(errs, placed("encode.fields", c.Fields.Validate()))
}

// frame returns the bytes before fields are written. Blanks are for people.
func (c Encode) frame() ([]byte, error) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(c.Bytes), ""))
	if err != nil {
		return nil, errors.New("is not in hexadecimal")
	}
	return b, nil
}

// encoded returns the bytes of an order.
func (e *Entity) encoded(o order) ([]byte, error) {
	var b []byte
	var err error
	if e.Encode.As == AsBinary {
		b, err = e.Encode.binary(o)
	} else {
		b, err = appenders[e.Encode.As](nil, e.members(o))
	}
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return append(b, e.Encode.End...), nil
}

func (c Encode) binary(o order) ([]byte, error) {
	b, err := c.frame()
	if err != nil {
		return nil, err
	}
	return b, c.Fields.Fill(b, func(key string) (string, bool) { return o.Raw, key == valueKey })
}

// members returns what the object of an order holds.
func (e *Entity) members(o order) (object []codec.Member) {
	for _, key := range slices.Sorted(maps.Keys(e.Encode.With)) {
		object = append(object, codec.Member{Key: key, Value: bare(e.Encode.With[key])})
	}
	switch value := (codec.Scalar{Text: o.Raw}); {
	case e.kind() == bridge.Button:
		return object
	case e.numeric(), e.binary():
		value = bare(o.Raw)
		fallthrough
	default:
		return append(object, codec.Member{Key: e.key(), Value: value})
	}
}

// bare returns a number or boolean for what is one, and else text.
func bare(s string) codec.Scalar {
	_, err := parseNumber(s)
	number := err == nil && json.Valid([]byte(s))
	return codec.Scalar{Text: s, Bare: number || s == "true" || s == "false"}
}
