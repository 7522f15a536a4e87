package uart

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A TapConfig offers a port to programs on the network, such as a maker's PC
// tool, while its owner uses it.
type TapConfig struct {
	Listen   string        `yaml:"listen" doc:"Address and port to listen on, such as 127.0.0.1:2217. Other machines get in where allow says so."`
	Allow    []string      `yaml:"allow" doc:"Networks that may connect, such as 192.168.1.0/24; this machine if absent. Must be set where listen is not on 127.0.0.0/8 or ::1."`
	Protocol TapProtocol   `yaml:"protocol" doc:"raw (the bytes of the line), rfc2217 (telnet, which tells how the line is set) or capture (text with times and directions; nobody can write)."`
	Write    bool          `yaml:"write" doc:"Clients may write to the line, one at a time, between two exchanges of the hub."`
	Both     bool          `yaml:"both" doc:"Clients also see what is written to the line by others. A capture always has it."`
	Line     bool          `yaml:"line" doc:"For rfc2217: who writes may also change rate, data bits and parity, until it is the hub's turn again."`
	Hold     time.Duration `yaml:"hold" doc:"A client that wrote has the line until nothing was sent or received for this long; 10ms to 10s."`
	Token    string        `yaml:"token" doc:"What a client must send first, as a line: 8 to 128 visible characters."`
}

// A TapProtocol says how a tap shows the bytes of a line.
type TapProtocol string

// The protocols of a tap.
const (
	TapRaw     TapProtocol = "raw"
	TapRFC2217 TapProtocol = "rfc2217"
	TapCapture TapProtocol = "capture"
)

// Values lists what a TapProtocol may be.
func (TapProtocol) Values() []string {
	return []string{string(TapRaw), string(TapRFC2217), string(TapCapture)}
}

// SetDefaults sets what holds where a configuration is silent.
func (c *TapConfig) SetDefaults() { *c = TapConfig{Protocol: TapRaw, Hold: 2 * time.Second} }

// Validate reports everything that is wrong: a join of *FieldError.
func (c *TapConfig) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, fmt.Errorf(format, args...)})
	}
	if addr, err := netip.ParseAddrPort(c.Listen); err != nil {
		wrong("listen", "%q is not an address and a port, such as 127.0.0.1:2217", c.Listen)
	} else if !addr.Addr().IsLoopback() && len(c.Allow) == 0 {
		wrong("allow", "must say which networks may connect, since %s is not on this machine only", addr.Addr())
	}
	for i, a := range c.Allow {
		if _, err := network(a); err != nil {
			wrong(fmt.Sprintf("allow[%d]", i), "%q is not a network, such as 192.168.1.0/24", a)
		}
	}
	if !slices.Contains(c.Protocol.Values(), string(c.Protocol)) {
		wrong("protocol", "%q is not one of %s", c.Protocol, strings.Join(c.Protocol.Values(), ", "))
	}
	if c.Write && c.Protocol == TapCapture {
		wrong("write", "cannot be with protocol capture")
	}
	if c.Line && (!c.Write || c.Protocol != TapRFC2217) {
		wrong("line", "needs protocol rfc2217 and write")
	}
	if c.Hold < 10*time.Millisecond || c.Hold > 10*time.Second {
		wrong("hold", "%v is not between 10ms and 10s", c.Hold)
	}
	if c.Token != "" {
		if err := checkToken(c.Token); err != nil {
			wrong("token", "%w", err)
		}
	}
	return errors.Join(errs...)
}

// network reads a network or a single address.
func network(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// allowed returns the networks of c, which is valid.
func (c *TapConfig) allowed() (nets []netip.Prefix) {
	list := c.Allow
	if len(list) == 0 {
		list = []string{"127.0.0.0/8", "::1"}
	}
	for _, a := range list {
		p, _ := network(a)
		nets = append(nets, p)
	}
	return nets
}
