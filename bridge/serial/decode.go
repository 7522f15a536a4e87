package serial

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"edge/internal/codec"
	"edge/internal/config"
)

// A Format says what a line or frame is.
type Format string

// The formats.
const (
	Value       Format = "value"
	JSON        Format = "json"
	Regex       Format = "regex"
	Columns     Format = "columns"
	CSV         Format = "csv"
	Pairs       Format = "pairs"
	Binary      Format = "binary"
	CBOR        Format = "cbor"
	MessagePack Format = "msgpack"
	OBIS        Format = "obis"
	SML         Format = "sml"
	NMEA        Format = "nmea"
)

// Values lists what a Format may be.
func (Format) Values() []string {
	return []string{"value", "json", "regex", "columns", "csv", "pairs", "binary", "cbor", "msgpack", "obis", "sml", "nmea"}
}

// Layout says what stands where, for the formats that need it.
type Layout struct {
	Text   codec.Text  `yaml:"text" doc:"For formats columns, csv and pairs: how a line is cut."`
	Fields codec.Table `yaml:"fields" doc:"For format binary: which bytes are what."`
	Digits Digits      `yaml:"digits" doc:"For format binary: the bytes are written as text, as numbers in decimal or hex."`
	Skip   int         `yaml:"skip" doc:"For digits hex: the characters before them."`
	Select string      `yaml:"select" doc:"The key that says who has sent a frame, for sticks that receive from many: a key A/B of an entity is then B in frames from A."`
}

// Digits says how bytes are written in text.
type Digits string

// The ways to write bytes.
const (
	NoDigits      Digits = "" // as bytes
	DecimalDigits Digits = "decimal"
	HexDigits     Digits = "hex"
)

// Values lists what Digits may be.
func (Digits) Values() []string { return []string{"", "decimal", "hex"} }

// newDecoder returns the decoder for a configuration that is valid.
func newDecoder(cfg Config) (codec.Decoder, error) {
	decode, err := cfg.Format.decoder(cfg)
	switch cfg.Digits {
	case DecimalDigits:
		decode = codec.Digits(10, 0, decode)
	case HexDigits:
		decode = codec.Digits(16, cfg.Skip, decode)
	}
	if cfg.Select != "" {
		decode = codec.Select(cfg.Select, decode)
	}
	return decode, err
}

func (f Format) decoder(cfg Config) (codec.Decoder, error) {
	switch f {
	case Value:
		return codec.Plain, nil
	case JSON:
		return codec.JSON, nil
	case Regex:
		re, err := regexp.Compile(cfg.Pattern)
		if err != nil {
			return nil, fmt.Errorf("pattern: %w", err)
		}
		return codec.Regex(re), nil
	case Columns:
		return codec.Columns(cfg.Text), nil
	case CSV:
		return codec.CSV(cfg.Text), nil
	case Pairs:
		return codec.Pairs(cfg.Text), nil
	case Binary:
		return codec.Binary(cfg.Fields), nil
	case CBOR:
		return codec.CBOR, nil
	case MessagePack:
		return codec.MessagePack, nil
	case OBIS:
		return codec.OBIS, nil
	case SML:
		return codec.SML, nil
	case NMEA:
		return codec.NMEA, nil
	}
	return nil, fmt.Errorf("unknown format %q", f)
}

// keysIn names what has the keys of a format.
func (f Format) keysIn() string {
	if f == Regex {
		return "pattern"
	}
	return "table of fields"
}

// maxSkip bounds what stands before digits.
const maxSkip = 64

// checkFormat reports what is wrong with the settings of the format, and returns
// the keys that frames can have, or nil where any or none can be known.
func (c *Config) checkFormat() (keys []string, err error) {
	keys, err = c.groups()
	errs := []error{err}
	wrong := func(path, format string, args ...any) { errs = append(errs, config.Errorf(path, format, args...)) }
	text := c.Text.Separator != "" || c.Text.Equals != "" || c.Text.Widths != nil || c.Text.Names != nil
	if text && !slices.Contains([]Format{Columns, CSV, Pairs}, c.Format) {
		wrong("text", "is for formats columns, csv and pairs, not %s", c.Format)
	}
	if c.Text.Widths != nil && c.Format != Columns {
		wrong("text.widths", "is for format columns, not %s", c.Format)
	}
	if !slices.Contains(c.Digits.Values(), string(c.Digits)) {
		wrong("digits", "%q is not one of decimal, hex", c.Digits)
	} else if c.Digits != NoDigits && c.Format != Binary {
		wrong("digits", "is for format binary, not %s", c.Format)
	}
	if c.Skip < 0 || c.Skip > maxSkip || c.Skip != 0 && c.Digits != HexDigits {
		wrong("skip", "is from 0 to %d, for digits hex", maxSkip)
	}
	switch {
	case c.Format == Binary && len(c.Fields) == 0:
		wrong("fields", "must be set for format binary")
	case c.Format != Binary && c.Fields != nil:
		wrong("fields", "is for format binary, not %s", c.Format)
	case c.Format == Binary:
		for _, f := range c.Fields {
			if f.Key != "" {
				keys = append(keys, f.Key)
			}
		}
	}
	errs = append(errs, placed("text.", c.Text.Validate()), placed("fields", c.Fields.Validate()))
	return keys, errors.Join(errs...)
}

// placed gives the mistakes that package codec found their places.
func placed(prefix string, err error) error {
	all, _ := err.(interface{ Unwrap() []error })
	if all == nil {
		return err
	}
	var errs []error
	for _, err := range all.Unwrap() {
		if field, ok := errors.AsType[*codec.FieldError](err); ok {
			errs = append(errs, config.Errorf(prefix+field.Path, "%w", field.Err))
		}
	}
	return errors.Join(errs...)
}

// groups returns the named groups of the pattern, or nil where none is needed
// or can be known.
func (c *Config) groups() ([]string, error) {
	switch {
	case c.Format != Regex && c.Pattern != "":
		return nil, config.Errorf("pattern", "is for format regex, not %s", c.Format)
	case c.Format != Regex:
		return nil, nil
	case c.Pattern == "":
		return nil, config.Errorf("pattern", "must be set for format regex")
	}
	re, err := regexp.Compile(c.Pattern)
	if err != nil {
		return nil, config.Errorf("pattern", "%w", err)
	}
	names := slices.DeleteFunc(re.SubexpNames(), func(s string) bool { return s == "" })
	if len(names) == 0 {
		return nil, config.Errorf("pattern", "has no named group, such as (?P<temperature>[-.0-9]+)")
	}
	return names, nil
}

// within returns what a key means in a frame, without the sender.
func (c *Config) within(key string) string {
	if _, name, found := strings.Cut(key, "/"); found && c.Select != "" {
		return name
	}
	return key
}
