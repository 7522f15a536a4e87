package serial

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"edge/internal/config"
	"edge/internal/frame"
)

// An Exchange is something that is sent and, perhaps, answered.
type Exchange struct {
	Send  string `yaml:"send" doc:"What is sent: a template as for commands, or bytes in hexadecimal after 0x."`
	Reply `yaml:",inline"`
	Delay time.Duration `yaml:"delay" doc:"How long nothing is sent afterwards."`
}

// A Request is an exchange that is made again and again.
type Request struct {
	ID       string `yaml:"id" doc:"The name by which entities refer to it."`
	Exchange `yaml:",inline"`
	Every    time.Duration `yaml:"every" doc:"The time between two of them; 10s if absent."`
}

// A Reply says what an answer is and how long it is awaited.
type Reply struct {
	Expect  *Expect       `yaml:"expect" doc:"What the answer is; for requests, any frame if absent."`
	Timeout time.Duration `yaml:"timeout" doc:"How long it is awaited; 500ms if absent."`
	Retries int           `yaml:"retries" doc:"How often the question is sent again; 2 if absent. While a request is not answered at all, it is not sent again before its time."`
}

// Expect is what a frame must be to be an answer; with several conditions, all
// must hold.
type Expect struct {
	Prefix frame.Bytes `yaml:"prefix" doc:"What it begins with, as text or, after 0x, in hexadecimal."`
	Regex  string      `yaml:"regex" doc:"A regular expression (RE2) that it matches."`
	Mask   string      `yaml:"mask" doc:"What it begins with, in hexadecimal, with ?? for any byte: ff 86 ?? ??."`
}

// SetDefaults implements the defaults of package config.
func (r *Reply) SetDefaults() { r.Timeout, r.Retries = 500*time.Millisecond, 2 }

// SetDefaults implements the defaults of package config.
func (r *Request) SetDefaults() {
	r.Exchange.SetDefaults()
	r.Every = 10 * time.Second
}

const (
	// mostRequests bounds the lists of requests and of what is sent at the start.
	mostRequests = 256

	// soonest is how often a request may be made.
	soonest = 10 * time.Millisecond
)

// A matcher reports whether a frame is an answer.
type matcher func(frame []byte) bool

// compile returns the matcher of e, which may be nil: that takes any frame.
func (e *Expect) compile() (matcher, error) {
	if e == nil {
		return func([]byte) bool { return true }, nil
	}
	mask, err := parseMask(e.Mask)
	if err != nil {
		return nil, config.Errorf("mask", "%w", err)
	}
	re, err := regexp.Compile(e.Regex)
	if err != nil {
		return nil, config.Errorf("regex", "%w", err)
	}
	prefix := []byte(e.Prefix)
	return func(frame []byte) bool {
		return bytes.HasPrefix(frame, prefix) && mask.begins(frame) && (e.Regex == "" || re.Match(frame))
	}, nil
}

// A mask is what bytes must be: 0 to 255, or any.
type mask []int

const anyByte = -1

func parseMask(text string) (m mask, err error) {
	text = strings.ReplaceAll(text, " ", "")
	for ; len(text) >= 2; text = text[2:] {
		if text[:2] == "??" {
			m = append(m, anyByte)
			continue
		}
		b, err := hex.DecodeString(text[:2])
		if err != nil {
			return nil, fmt.Errorf("%q is neither a byte in hexadecimal nor ??", text[:2])
		}
		m = append(m, int(b[0]))
	}
	if text != "" {
		return nil, errors.New("the last byte has one digit")
	}
	return m, nil
}

func (m mask) begins(frame []byte) bool {
	if len(frame) < len(m) {
		return false
	}
	for i, want := range m {
		if want != anyByte && byte(want) != frame[i] {
			return false
		}
	}
	return true
}

// checkRequests reports what is wrong with what is asked of the stick.
func (c *Config) checkRequests() (errs []error) {
	for _, list := range []struct {
		name string
		n    int
	}{{"start", len(c.Start)}, {"requests", len(c.Requests)}} {
		if list.n > mostRequests {
			errs = append(errs, config.Errorf(list.name, "has %d items, more than %d", list.n, mostRequests))
		}
	}
	for i, x := range c.Start {
		errs = append(errs, config.In(fmt.Sprintf("start[%d]", i), c.checkExchange(x)))
	}
	for i, r := range c.Requests {
		at := fmt.Sprintf("requests[%d]", i)
		if err := checkID(r.ID); err != nil {
			errs = append(errs, config.Errorf(at+".id", "%w", err))
		}
		if slices.ContainsFunc(c.Requests[:i], func(o Request) bool { return o.ID == r.ID }) {
			errs = append(errs, config.Errorf(at+".id", "%q is already the id of an earlier request", r.ID))
		}
		if r.Every < soonest || r.Every > 24*time.Hour {
			errs = append(errs, config.Errorf(at+".every", "%v is not between %v and 24h", r.Every, soonest))
		}
		errs = append(errs, config.In(at, c.checkExchange(r.Exchange)))
	}
	for i, e := range c.Entities {
		errs = append(errs, config.In(fmt.Sprintf("entities[%d]", i), c.checkAsked(e)))
	}
	return errs
}

// checkAsked reports what is wrong with how an entity is asked for.
func (c *Config) checkAsked(e Entity) error {
	var errs []error
	known := slices.ContainsFunc(c.Requests, func(r Request) bool { return r.ID == e.Request })
	if e.Request != "" && !known {
		errs = append(errs, config.Errorf("request", "there is no request %q", e.Request))
	}
	if e.Reply != nil {
		if !e.takesCommands() {
			errs = append(errs, config.Errorf("reply", "is for entities with a command"))
		}
		errs = append(errs, config.In("reply", e.Reply.check()))
	}
	return errors.Join(errs...)
}

func (c *Config) checkExchange(x Exchange) error {
	errs := []error{x.check()}
	if _, err := x.bytes(c.builder()); err != nil {
		errs = append(errs, config.Errorf("send", "%w", err))
	}
	if x.Delay < 0 || x.Delay > time.Minute {
		errs = append(errs, config.Errorf("delay", "%v is not between 0s and 1m", x.Delay))
	}
	return errors.Join(errs...)
}

func (r Reply) check() error {
	var errs []error
	if _, err := r.Expect.compile(); err != nil {
		errs = append(errs, config.In("expect", err))
	}
	if r.Timeout < time.Millisecond || r.Timeout > time.Minute {
		errs = append(errs, config.Errorf("timeout", "%v is not between 1ms and 1m", r.Timeout))
	}
	if r.Retries < 0 || r.Retries > 10 {
		errs = append(errs, config.Errorf("retries", "%d is not between 0 and 10", r.Retries))
	}
	return errors.Join(errs...)
}

// bytes returns what is sent.
func (x Exchange) bytes(build *frame.Builder) ([]byte, error) {
	t, err := parseTemplate(x.Send)
	if err != nil {
		return nil, err
	}
	return framed(t, order{}, build)
}
