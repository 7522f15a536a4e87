package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
)

// The PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, section 2.2): in
// front of everything else, a proxy says who its client is.
//
//	signature:12 | version:4 command:4 | family:4 transport:4 | length:16 | addresses | TLVs
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyHead      = len(proxySignature) + 4
	// proxyMax bounds a header: the smallest segment that every TCP takes. The
	// largest addresses and a few TLVs fit into it.
	proxyMax = 536
)

// The commands in the low bits of the 13th byte; the high ones are the version.
const (
	proxyLocal = 0x20 // the proxy speaks for itself, say to see whether we live
	proxyProxy = 0x21
)

// The 14th byte, family and transport. Datagrams carry no MQTT.
const (
	proxyUnspec = 0x00
	proxyTCP4   = 0x11
	proxyTCP6   = 0x21
	proxyUnix   = 0x31
)

// proxyFamilies says how many bytes the addresses of a family have, client
// first, and reads them.
var proxyFamilies = map[byte]struct {
	size int
	read func(b []byte) proxied
}{
	// IP:4 IP:4 | port:2 port:2
	proxyTCP4: {12, func(b []byte) proxied { return proxied{tcpAddr(b[:4], b[8:]), tcpAddr(b[4:8], b[10:])} }},
	// IP:16 IP:16 | port:2 port:2
	proxyTCP6: {36, func(b []byte) proxied { return proxied{tcpAddr(b[:16], b[32:]), tcpAddr(b[16:32], b[34:])} }},
	// sun_path:108 sun_path:108
	proxyUnix: {216, func(b []byte) proxied { return proxied{unixAddr(b[:108]), unixAddr(b[108:216])} }},
}

// proxyCRC is the type of the TLV with a CRC-32C of the whole header.
const proxyCRC = 0x03

// A proxied is what a proxy says of a connection. Both addresses are nil where
// it says nothing, and those of the socket hold.
type proxied struct{ client, server net.Addr }

// Reasons to refuse a header; whoever sent it learns none.
var (
	errProxyV1     = errors.New("PROXY protocol version 1; let the proxy send version 2 (HAProxy: send-proxy-v2)")
	errNoProxy     = errors.New("no PROXY protocol header")
	errProxyLength = errors.New("PROXY protocol: the header is shorter than what it must contain")
	errProxyTLV    = errors.New("PROXY protocol: a TLV is malformed")
	errProxyCRC    = errors.New("PROXY protocol: the checksum is wrong")
)

// readProxy reads a header from r, and not a byte more: what follows belongs to
// TLS or MQTT. Who does not speak the protocol is found out by the first 12
// bytes, which every CONNECT and every header of version 1 has.
func readProxy(r io.Reader) (proxied, error) {
	head := make([]byte, proxyHead, 128)
	sig := head[:len(proxySignature)]
	if _, err := io.ReadFull(r, sig); err != nil {
		return proxied{}, fmt.Errorf("read the PROXY protocol header: %w", err)
	}
	switch {
	case bytes.HasPrefix(sig, []byte("PROXY ")):
		return proxied{}, errProxyV1
	case string(sig) != proxySignature:
		return proxied{}, errNoProxy
	}
	if _, err := io.ReadFull(r, head[len(sig):]); err != nil {
		return proxied{}, fmt.Errorf("read the PROXY protocol header: %w", err)
	}
	total := proxyHead + int(binary.BigEndian.Uint16(head[len(sig)+2:]))
	if total > proxyMax {
		return proxied{}, fmt.Errorf("PROXY protocol: a header of %d bytes; %d are allowed", total, proxyMax)
	}
	b := append(head, make([]byte, total-proxyHead)...)
	if _, err := io.ReadFull(r, b[proxyHead:]); err != nil {
		return proxied{}, fmt.Errorf("read the PROXY protocol header: %w", err)
	}
	return parseProxy(b)
}

// parseProxy decodes a complete header, whose length readProxy has checked.
func parseProxy(b []byte) (proxied, error) {
	if len(b) < proxyHead || string(b[:len(proxySignature)]) != proxySignature {
		return proxied{}, errNoProxy
	}
	command, family, rest := b[12], b[13], b[proxyHead:]
	if int(binary.BigEndian.Uint16(b[14:])) != len(rest) {
		return proxied{}, errProxyLength
	}
	addresses, known := proxyFamilies[family]
	switch {
	case command == proxyLocal: // "Must discard the protocol block including the family".
		return proxied{}, nil
	case command != proxyProxy:
		return proxied{}, fmt.Errorf("PROXY protocol: version and command %#02x are unknown", command)
	case family == proxyUnspec: // "The receiver should ignore address information".
		return proxied{}, nil
	case !known:
		return proxied{}, fmt.Errorf("PROXY protocol: family and transport %#02x are none that carries MQTT", family)
	case len(rest) < addresses.size:
		return proxied{}, errProxyLength
	}
	if err := checkTLVs(b, proxyHead+addresses.size); err != nil {
		return proxied{}, err
	}
	return addresses.read(rest), nil
}

// tcpAddr makes an address; an IPv4 address that is written as IPv6 becomes
// what it is, so that rules for one hold for the other.
func tcpAddr(ip, port []byte) *net.TCPAddr {
	addr, _ := netip.AddrFromSlice(ip) // The length is right.
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port)))
}

// unixAddr makes the address of a socket from sun_path, with @ for the abstract
// ones and those without a name, as package net does.
func unixAddr(path []byte) *net.UnixAddr {
	abstract := path[0] == 0
	if abstract {
		path = path[1:]
	}
	name, _, _ := bytes.Cut(path, []byte{0})
	if abstract {
		return &net.UnixAddr{Net: "unix", Name: "@" + string(name)}
	}
	return &net.UnixAddr{Net: "unix", Name: string(name)}
}

// checkTLVs walks over what follows the addresses of the header b, at offset at,
// and verifies the checksum if there is one. Nothing else in it concerns us.
//
//	type:8 | length:16 | value
func checkTLVs(b []byte, at int) error {
	sum := 0 // where the checksum is
	for at < len(b) {
		if len(b)-at < 3 {
			return errProxyTLV
		}
		kind, value := b[at], at+3
		at = value + int(binary.BigEndian.Uint16(b[at+1:]))
		switch {
		case at > len(b):
			return errProxyTLV
		case kind == proxyCRC && (sum != 0 || at-value != 4):
			return errProxyTLV
		case kind == proxyCRC:
			sum = value
		}
	}
	if sum > 0 && binary.BigEndian.Uint32(b[sum:]) != proxySum(b, sum) {
		return errProxyCRC
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// proxySum is the checksum of the header b with zeros in its own place, at
// (section 2.2.4).
func proxySum(b []byte, at int) uint32 {
	c := crc32.Update(0, castagnoli, b[:at])
	c = crc32.Update(c, castagnoli, make([]byte, 4))
	return crc32.Update(c, castagnoli, b[at+4:])
}

// trustedProxies are those who may say who a client is, unless a listener names
// others.
var trustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// trusts reports whether a connection from a may bring a header. Who can open a
// unix socket is trusted by its permissions.
func trusts(proxies []netip.Prefix, a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return true
	}
	addr := t.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parsePrefix reads a CIDR or a single address. Bits behind the prefix are an
// error: somebody meant something else.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%q: want an address like 192.0.2.7, or a network like 192.0.2.0/24 or 2001:db8::/32", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q: the network is %s, a single address has no /%d", s, p.Masked(), p.Bits())
	}
	return p, nil
}
