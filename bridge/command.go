package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxCommand is the greatest length of a command's payload, in bytes.
const maxCommand = 4096

// ErrRefused is wrapped by the error of a Publish that the broker refuses, such
// as that of a retained command.
var ErrRefused = errors.New("refused")

// A Command is what somebody wants of an entity.
type Command struct {
	Value string        // `ON`, `21.5`; empty where only the command itself matters
	ID    string        // repeated in the result; empty if the sender did not care
	For   time.Duration // how long Value is to hold; zero: until the next command
	At    time.Time     // when it was sent; zero if the sender does not say

	// What only those bridges read that ask for LockKeys.
	Lock   time.Duration // how long only the sender may command the entity; zero: as it is
	Unlock bool
	Owner  string // of the lock, for people
}

// LockKeys are the keys of a command that lock an entity.
var LockKeys = []string{"lock", "unlock", "owner"}

// maxOwner is the greatest length of the name of a lock's owner, in bytes.
const maxOwner = 64

// ParseCommand reads a payload of …/set: either the value itself, `ON` or
// `21.5`, where space around it does not count, or a JSON object such as
// `{"value":"ON","id":"7","for":"5s"}`. There each key may be left out; value
// is a string, a number or true or false, which mean ON and OFF; id is a string
// or a number; for is a Go duration or a number of seconds; at is what ParseTime
// reads. Others than these four are mistakes, but for those of more. A payload has
// at most 4096 bytes. The error tells the sender what was expected.
func ParseCommand(payload []byte, more ...string) (Command, error) {
	if len(payload) > maxCommand {
		return Command{}, fmt.Errorf("command of %d bytes: want at most %d", len(payload), maxCommand)
	}
	if !utf8.Valid(payload) {
		return Command{}, errors.New("command: want UTF-8 text")
	}
	payload = bytes.TrimSpace(payload)
	switch {
	case len(payload) == 0:
		return Command{}, errors.New(`command: is empty; want a value such as ON, or {"value":"ON","for":"5s"}`)
	case bytes.IndexByte(payload, 0) >= 0:
		return Command{}, errors.New("command: has a zero byte; want text")
	case payload[0] != '{':
		return Command{Value: string(payload)}, nil
	}
	cmd, err := parseObject(payload, more)
	if err != nil {
		return Command{ID: cmd.ID}, fmt.Errorf("command: %w", err)
	}
	return cmd, nil
}

// parseObject reads key by key, because encoding/json would take `VALUE` for
// value and the last one of two.
func parseObject(payload []byte, more []string) (Command, error) {
	var (
		cmd  Command
		seen = map[string]bool{}
		dec  = json.NewDecoder(bytes.NewReader(payload))
	)
	dec.UseNumber()
	if _, err := dec.Token(); err != nil { // the {
		return cmd, notJSON(err)
	}
	for dec.More() {
		key, v, err := member(dec)
		if err != nil {
			return cmd, notJSON(err)
		}
		if seen[key] {
			return cmd, fmt.Errorf("the key %q is there twice", key)
		}
		seen[key] = true
		if slices.Contains(LockKeys, key) && !slices.Contains(more, key) {
			return cmd, fmt.Errorf("this entity cannot be locked (%s)", key)
		}
		if err := cmd.put(key, v); err != nil {
			return cmd, err
		}
	}
	if cmd.Lock > 0 && cmd.Unlock {
		return cmd, errors.New("lock and unlock: want one of them")
	}
	if _, err := dec.Token(); err != nil { // the }
		return cmd, notJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return cmd, errors.New("there is something behind the JSON object")
	}
	return cmd, nil
}

// member reads one key with its value.
func member(dec *json.Decoder) (key string, v any, err error) {
	token, err := dec.Token()
	if err != nil {
		return "", nil, err
	}
	key, _ = token.(string) // the decoder allows nothing else before a colon.
	err = dec.Decode(&v)
	return key, v, err
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf(`begins like a JSON object, but is none (want {"value":"ON"}): %w`, err)
}

func (cmd *Command) put(key string, v any) (err error) {
	switch key {
	case "value":
		cmd.Value, err = scalar(v)
	case "id":
		if _, is := v.(bool); is {
			v = nil // true is a value, but no id
		}
		if cmd.ID, err = scalar(v); err != nil {
			return errors.New("id: want a string or a number")
		}
	case "for":
		cmd.For, err = duration(v)
	case "at":
		cmd.At, err = moment(v)
	case "lock":
		cmd.Lock, err = duration(v)
	case "unlock":
		if is, ok := v.(bool); !ok || !is {
			err = errors.New("want true")
		}
		cmd.Unlock = true
	case "owner":
		if cmd.Owner, err = scalar(v); err == nil && len(cmd.Owner) > maxOwner {
			err = fmt.Errorf("has more than %d bytes", maxOwner)
		}
	default:
		return fmt.Errorf("unknown key %q; want value, id, for or at", key)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		if strings.IndexByte(v, 0) >= 0 {
			return "", errors.New("has a zero byte; want text")
		}
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		if v {
			return "ON", nil
		}
		return "OFF", nil
	}
	return "", errors.New("want a string, a number, true or false")
}

// ParseTime reads a time as devices say it: RFC 3339, or seconds or milliseconds
// since 1970, which nobody takes for one another.
func ParseTime(s string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	const asMilliseconds, most = 1e11, 1e14 // The years 5138, in seconds, and again, in milliseconds.
	if err != nil || !(n >= 0 && n < most) {
		return time.Time{}, fmt.Errorf("%q is no time; want one such as 2026-01-31T12:00:00Z, or seconds or milliseconds since 1970", s)
	}
	if n < asMilliseconds {
		n *= 1000
	}
	return time.UnixMilli(int64(n)), nil
}

func moment(v any) (time.Time, error) {
	switch v := v.(type) {
	case string:
		return ParseTime(v)
	case json.Number:
		return ParseTime(v.String())
	}
	return time.Time{}, errors.New("want a time")
}

func duration(v any) (time.Duration, error) {
	var d time.Duration
	switch v := v.(type) {
	case string:
		var err error
		if d, err = time.ParseDuration(v); err != nil {
			return 0, fmt.Errorf(`%q is no duration; want one such as "5s" or "1m30s", or a number of seconds`, v)
		}
	case json.Number:
		s, err := v.Float64()
		if err != nil || s >= float64(math.MaxInt64)/float64(time.Second) {
			return 0, fmt.Errorf("%s seconds is too long", v)
		}
		d = time.Duration(max(s, 0) * float64(time.Second))
	default:
		return 0, errors.New(`want a duration such as "5s", or a number of seconds`)
	}
	if d <= 0 {
		return 0, fmt.Errorf("%v is not a time to hold a value for; want more than zero", v)
	}
	return d, nil
}
