package uart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A source is what the name of a port that is no device of this machine says:
// a port on the network or a capture.
type source struct {
	scheme string // tcp, rfc2217 or replay
	host   string // host:port of a port on the network, in lower case
	token  string // what the far side wants to hear first
	file   string // the capture
	opts   url.Values
}

// schemes are the sources and the options that each has.
var schemes = map[string][]string{
	"tcp":     {"timeout"},
	"rfc2217": {"timeout"},
	"replay":  {"speed", "loop", "writes"},
}

// parseSource takes name apart. ok is false where name is a device's. No error
// quotes a token.
func parseSource(name string) (s source, ok bool, err error) {
	scheme, rest, found := strings.Cut(name, ":")
	if s.scheme = strings.ToLower(scheme); !found || schemes[s.scheme] == nil {
		return source{}, false, nil
	}
	rest, query, _ := strings.Cut(rest, "?")
	if s.opts, err = url.ParseQuery(query); err != nil {
		return s, true, fmt.Errorf("options %q: %w", query, err)
	}
	if s.scheme == "replay" {
		s.file = rest
	} else if err := s.address(rest); err != nil {
		return s, true, fmt.Errorf("want %s://HOST:PORT: %w", s.scheme, err)
	}
	return s, true, s.check()
}

// address reads //host:port or //token@host:port.
func (s *source) address(rest string) error {
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return errors.New("two slashes are missing")
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		token, err := url.PathUnescape(rest[:i])
		if err != nil || checkToken(token) != nil {
			return errors.New("what is before @ is no token")
		}
		s.token, rest = token, rest[i+1:]
	}
	host, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "address "))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	if host == "" || strings.ContainsAny(host, "/ \t\r\n") {
		return fmt.Errorf("%q is no host", host)
	}
	s.host = net.JoinHostPort(strings.ToLower(host), port)
	return nil
}

// check reports options that a source does not have.
func (s source) check() error {
	var errs []error
	for key := range s.opts {
		if !slices.Contains(schemes[s.scheme], key) {
			errs = append(errs, fmt.Errorf("%s has no option %q; it has %s", s.scheme, key, strings.Join(schemes[s.scheme], ", ")))
		}
	}
	if s.scheme == "replay" && s.file == "" {
		errs = append(errs, errors.New("want replay:FILE"))
	}
	_, err := s.timeout()
	errs = append(errs, err, s.oneOf("speed", "real", "fast"), s.oneOf("loop", "false", "true"), s.oneOf("writes", "check", "ignore"))
	return errors.Join(errs...)
}

func (s source) oneOf(key string, values ...string) error {
	if v := s.opts.Get(key); s.opts.Has(key) && !slices.Contains(values, v) {
		return fmt.Errorf("%s %q is not one of %s", key, v, strings.Join(values, ", "))
	}
	return nil
}

const (
	// deadAfter is how long the far side of a connection may be silent to the
	// probes of TCP, unless the name says otherwise.
	deadAfter = 15 * time.Second

	// The bounds of timeout: TCP_KEEPIDLE counts whole seconds, and a port
	// that is dead for more than ten minutes is not watched at all.
	minDead, maxDead = 2 * time.Second, 10 * time.Minute
)

// timeout returns how long the far side may take to answer a connection, and
// may be dead before the port is gone.
func (s source) timeout() (time.Duration, error) {
	if !s.opts.Has("timeout") {
		return deadAfter, nil
	}
	d, err := time.ParseDuration(s.opts.Get("timeout"))
	if err != nil || d < minDead || d > maxDead {
		return 0, fmt.Errorf("timeout %q is not between %v and %v", s.opts.Get("timeout"), minDead, maxDead)
	}
	return d, nil
}

// name returns the name of the port without what is secret or an option.
func (s source) name() string {
	if s.scheme == "replay" {
		return "replay:" + s.file
	}
	return s.scheme + "://" + s.host
}

// SamePort reports whether two names, as in Config.Port, mean one port: by
// name, and where both are plugged in also if the names differ. A capture can
// be open any number of times.
func SamePort(first, second string) bool { return Host{}.SamePort(first, second) }

// SamePort is as the function SamePort.
func (h Host) SamePort(first, second string) bool {
	a, b := h.identity(first), h.identity(second)
	return a == b && !strings.HasPrefix(a, "replay:")
}

func (h Host) identity(name string) string {
	s, ok, _ := parseSource(name)
	switch {
	case ok && s.scheme == "replay":
		return s.name()
	case ok: // raw or not, it is one line
		return "//" + s.host
	}
	if dev, err := h.Find(name); err == nil {
		return dev
	}
	return path.Base(name)
}

// open connects to s, or opens the capture.
func (s source) open(ctx context.Context, cfg Config) (*Port, error) {
	c, err := s.conn(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open serial port %s: %w", s.name(), err)
	}
	return &Port{conn: c, baud: cfg.Baud}, nil
}

func (s source) conn(ctx context.Context, cfg Config) (conn, error) {
	switch s.scheme {
	case "tcp":
		return dial(ctx, s)
	case "rfc2217":
		return dialPort(ctx, s, cfg)
	}
	return openReplay(s)
}

// checkToken says what is wrong with a token. It is a line of its own on the
// wire.
func checkToken(token string) error {
	for _, r := range token {
		if r < '!' || r > '~' {
			return errors.New("must be of visible ASCII characters, without spaces")
		}
	}
	if n := len(token); n < 8 || n > maxToken {
		return fmt.Errorf("must have 8 to %d characters", maxToken)
	}
	return nil
}

const maxToken = 128
