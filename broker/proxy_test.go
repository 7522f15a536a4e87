package broker

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// Headers as proxies send them.
const (
	// HAProxy 2.6.12, send-proxy-v2.
	haproxy4 = "0d0a0d0a000d0a515549540a 21 11 000c 7f000001 7f000001 8848 5209"
	haproxy6 = "0d0a0d0a000d0a515549540a 21 21 0024 00000000000000000000000000000001 00000000000000000000000000000001 dcc6 520a"
	// The same with proxy-v2-options crc32c,unique-id; there is no id.
	haproxyCRC = "0d0a0d0a000d0a515549540a 21 11 0016 7f000001 7f000001 c9ba 520b 03 0004 3db99cc7 05 0000"
	// Its health check, check-send-proxy.
	haproxyCheck = "0d0a0d0a000d0a515549540a 20 00 0000"
	// A Network Load Balancer by the documentation of AWS: a checksum, the id
	// of a VPC endpoint (0xea), padding (0x04).
	awsNLB = "0d0a0d0a000d0a515549540a 21 11 0054 0a000105 0a00020a c350 075b" +
		"03 0004 d23b48bf" + "ea 0017 01 767063652d3038643262663135666163353030316339" + "04 0024" +
		"000000000000000000000000000000000000000000000000000000000000000000000000"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A tlv follows the addresses.
type tlv struct {
	kind  byte
	value string
}

// proxyBytes encodes a header as a proxy would. A TLV for the checksum gets the
// right one.
func proxyBytes(p proxied, tlvs ...tlv) []byte {
	sum := 0
	b := append([]byte(proxySignature), proxyProxy, proxyUnspec, 0, 0)
	switch c := p.client.(type) {
	case nil:
		b[12] = proxyLocal
	case *net.TCPAddr:
		b = appendTCP(b, c, p.server.(*net.TCPAddr))
		b[13] = map[bool]byte{true: proxyTCP4, false: proxyTCP6}[c.IP.To4() != nil]
	case *net.UnixAddr:
		for _, a := range []string{c.Name, p.server.(*net.UnixAddr).Name} {
			path := make([]byte, 108)
			if copy(path, a); path[0] == '@' {
				path[0] = 0
			}
			b = append(b, path...)
		}
		b[13] = proxyUnix
	}
	for _, v := range tlvs {
		b = append(binary.BigEndian.AppendUint16(append(b, v.kind), uint16(len(v.value))), v.value...)
		if v.kind == proxyCRC {
			sum = len(b) - 4
		}
	}
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-proxyHead))
	if sum > 0 {
		binary.BigEndian.PutUint32(b[sum:], proxySum(b, sum))
	}
	return b
}

func appendTCP(b []byte, c, s *net.TCPAddr) []byte {
	from, to := c.AddrPort(), s.AddrPort()
	if c.IP.To4() != nil {
		from, to = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	}
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, from.Port()), to.Port())
}

func (p proxied) String() string {
	if p.client == nil {
		return "-"
	}
	return p.client.String() + " " + p.server.String()
}

func tcp(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

func TestProxyHeader(t *testing.T) {
	checksum, id := tlv{proxyCRC, "\x00\x00\x00\x00"}, tlv{0x05, "4711"}
	v4 := proxied{tcp("192.0.2.77:50000"), tcp("203.0.113.5:1883")}
	v6 := proxied{tcp("[2001:db8::77]:50000"), tcp("[2001:db8::5]:8883")}
	unix := proxied{&net.UnixAddr{Net: "unix", Name: "@client"}, &net.UnixAddr{Net: "unix", Name: "/run/" + strings.Repeat("x", 103)}}
	for _, tt := range []struct {
		name string
		b    []byte
		p    proxied
		tlvs []tlv
	}{
		{"HAProxy IPv4", unhex(t, haproxy4), proxied{tcp("127.0.0.1:34888"), tcp("127.0.0.1:21001")}, nil},
		{"HAProxy IPv6", unhex(t, haproxy6), proxied{tcp("[::1]:56518"), tcp("[::1]:21002")}, nil},
		{"HAProxy checksum", unhex(t, haproxyCRC), proxied{tcp("127.0.0.1:51642"), tcp("127.0.0.1:21003")}, []tlv{checksum, {0x05, ""}}},
		{"IPv4", proxyBytes(v4), v4, nil},
		{"AWS NLB", unhex(t, awsNLB), proxied{tcp("10.0.1.5:50000"), tcp("10.0.2.10:1883")}, []tlv{
			checksum, {0xea, "\x01vpce-08d2bf15fac5001c9"}, {0x04, strings.Repeat("\x00", 36)},
		}},
		{"id and checksum", proxyBytes(v6, id, checksum), v6, []tlv{id, checksum}},
		{"unix", proxyBytes(unix), unix, nil},
		{"unix without a name", proxyBytes(proxied{&net.UnixAddr{}, &net.UnixAddr{}}), proxied{&net.UnixAddr{Name: "@"}, &net.UnixAddr{Name: "@"}}, nil},
		{"longest", proxyBytes(unix, tlv{0xe0, strings.Repeat("x", proxyMax-proxyHead-216-3)}), unix, []tlv{{0xe0, strings.Repeat("x", 301)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readProxy(iotest.OneByteReader(bytes.NewReader(tt.b)))
			if err != nil || got.String() != tt.p.String() {
				t.Errorf("got %v, %v; want %v", got, err, tt.p)
			}
			if b := proxyBytes(tt.p, tt.tlvs...); !bytes.Equal(b, tt.b) {
				t.Errorf("encoded again:\n got % x\nwant % x", b, tt.b)
			}
			for _, n := range []int{0, 1, 13, len(tt.b) - 1} {
				if got, err := readProxy(bytes.NewReader(tt.b[:n])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes of it: %v, %v; want an end of file", n, got, err)
				}
			}
		})
	}
}

// TestProxySilent has headers that are fine and say nothing of the client.
func TestProxySilent(t *testing.T) {
	for name, h := range map[string]string{
		"health check":            haproxyCheck,
		"local with addresses":    strings.Replace(haproxy4, " 21 11", " 20 11", 1),
		"local of unknown family": strings.Replace(haproxy4, " 21 11", " 20 77", 1),
		"unspecified":             strings.Replace(haproxy4, " 21 11", " 21 00", 1),
	} {
		r := bytes.NewReader(append(unhex(t, h), hello...))
		if got, err := readProxy(r); err != nil || got != (proxied{}) {
			t.Errorf("%s: %v, %v; want nothing", name, got, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != hello {
			t.Errorf("%s: what follows is % x, want CONNECT", name, rest)
		}
	}
}

func TestProxyRefused(t *testing.T) {
	replaced := func(from, to string) []byte { return unhex(t, strings.Replace(haproxy4, from, to, 1)) }
	v4 := proxied{tcp("192.0.2.77:50000"), tcp("203.0.113.5:1883")}
	flipped := unhex(t, awsNLB)
	flipped[17]++
	for name, tt := range map[string]struct {
		b    []byte
		want string
	}{
		"CONNECT":               {[]byte(hello), "no PROXY protocol header"},
		"shortest CONNECT":      {[]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"), "no PROXY protocol header"},
		"ClientHello":           {[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"), "no PROXY protocol header"},
		"version 1":             {[]byte("PROXY TCP4 192.0.2.77 203.0.113.5 50000 1883\r\n"), "send-proxy-v2"},
		"version 1, shortest":   {[]byte("PROXY UNKNOWN\r\n"), "send-proxy-v2"},
		"version 3":             {replaced(" 21 11", " 31 11"), "version and command 0x31"},
		"command 2":             {replaced(" 21 11", " 22 11"), "version and command 0x22"},
		"UDP over IPv4":         {replaced(" 21 11", " 21 12"), "family and transport 0x12"},
		"UDP over IPv6":         {replaced(" 21 11", " 21 22"), "family and transport 0x22"},
		"datagrams over unix":   {replaced(" 21 11", " 21 32"), "family and transport 0x32"},
		"family 4":              {replaced(" 21 11", " 21 41"), "family and transport 0x41"},
		"IPv6 without room":     {replaced(" 21 11", " 21 21"), "shorter than"},
		"no addresses":          {unhex(t, "0d0a0d0a000d0a515549540a 21 11 0000"), "shorter than"},
		"too long":              {replaced(" 000c ", " 0209 "), "a header of 537 bytes; 536"},
		"longest announced":     {replaced(" 000c ", " ffff "), "a header of 65551 bytes; 536"},
		"checksum":              {flipped, "the checksum is wrong"},
		"TLV of two bytes":      {append(replaced(" 000c ", " 000e "), 4, 0), "a TLV is malformed"},
		"TLV beyond the end":    {append(replaced(" 000c ", " 0010 "), 4, 0, 2, 0), "a TLV is malformed"},
		"checksum of two bytes": {proxyBytes(v4, tlv{3, "ab"}), "a TLV is malformed"},
		"two checksums":         {proxyBytes(v4, tlv{3, "abcd"}, tlv{3, "abcd"}), "a TLV is malformed"},
	} {
		if got, err := readProxy(bytes.NewReader(tt.b)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want an error with %q", name, got, err, tt.want)
		}
	}
}

func FuzzProxy(f *testing.F) {
	for _, s := range []string{haproxy4, haproxy6, haproxyCRC, haproxyCheck, awsNLB} {
		f.Add(unhex(f, s))
	}
	unix := &net.UnixAddr{Net: "unix", Name: "/run/edge.sock"}
	f.Add(proxyBytes(proxied{unix, unix}, tlv{0x05, "4711"}, tlv{proxyCRC, "abcd"}))
	f.Add([]byte("PROXY TCP4 192.0.2.77 203.0.113.5 50000 1883\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		p, err := readProxy(r)
		if read := len(b) - r.Len(); read > proxyMax {
			t.Fatalf("%d bytes read", read)
		}
		if err != nil || p.client == nil {
			return
		}
		if from, ok := p.client.(*net.TCPAddr); ok && (from.IP.To4() == nil) != (p.server.(*net.TCPAddr).IP.To4() == nil) {
			return // One of the two is an IPv4 address written as IPv6.
		}
		again, err := parseProxy(proxyBytes(p))
		if err != nil || again.String() != p.String() {
			t.Errorf("%v became %v, %v", p, again, err)
		}
	})
}

func TestTrusts(t *testing.T) {
	prefixes := func(list ...string) (ps []netip.Prefix) {
		for _, s := range list {
			p, err := parsePrefix(s)
			if err != nil {
				t.Fatal(err)
			}
			ps = append(ps, p)
		}
		return ps
	}
	for _, tt := range []struct {
		proxies []netip.Prefix
		from    net.Addr
		want    bool
	}{
		{trustedProxies, tcp("127.0.0.9:1"), true},
		{trustedProxies, tcp("[::1]:1"), true},
		{trustedProxies, tcp("[::ffff:127.0.0.1]:1"), true},
		{trustedProxies, tcp("192.0.2.7:1"), false},
		{trustedProxies, &net.UnixAddr{}, true},
		{prefixes("192.0.2.7", "2001:db8::/32", "fe80::/10"), tcp("192.0.2.7:1"), true},
		{prefixes("192.0.2.7", "2001:db8::/32", "fe80::/10"), tcp("192.0.2.8:1"), false},
		{prefixes("192.0.2.7", "2001:db8::/32", "fe80::/10"), tcp("[2001:db8:7::1]:1"), true},
		{prefixes("192.0.2.7", "2001:db8::/32", "fe80::/10"), tcp("[fe80::1%eth0]:1"), true},
		{prefixes("192.0.2.7"), tcp("127.0.0.1:1"), false},
		{prefixes("::ffff:192.0.2.7"), tcp("192.0.2.7:1"), true},
		{prefixes("0.0.0.0/0"), tcp("192.0.2.7:1"), true},
		{prefixes("0.0.0.0/0"), tcp("[2001:db8::1]:1"), false},
	} {
		if got := trusts(tt.proxies, tt.from); got != tt.want {
			t.Errorf("trusts(%v, %v) = %t, want %t", tt.proxies, tt.from, got, tt.want)
		}
	}
	for s, want := range map[string]string{
		"proxy": "want an address", "": "want an address", "192.0.2.0/33": "want an address", "fe80::1%eth0": "want an address",
		"::ffff:192.0.2.0/120": "want an address", "192.0.2.7/24": "the network is 192.0.2.0/24",
	} {
		if p, err := parsePrefix(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parsePrefix(%q) = %v, %v; want an error with %q", s, p, err, want)
		}
	}
}
