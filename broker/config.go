package broker

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"edge/broker/access"
	"edge/internal/config"
	"edge/internal/topic"
)

// Config is the `broker:` section of the configuration.
type Config struct {
	AllowAnonymous bool          `yaml:"allow_anonymous" doc:"Lets clients on this machine in that show no credentials; for those on others, say it at a listener."`
	Listeners      []Listener    `yaml:"listeners" doc:"The addresses at which clients connect."`
	Overlapping    Overlapping   `yaml:"overlapping" doc:"What a client gets whose subscriptions overlap: each message once, at the highest QoS and with all identifiers, or once for each subscription."`
	Limits         Limits        `yaml:"limits" doc:"What one client can make grow at most."`
	SysInterval    time.Duration `yaml:"sys_interval" doc:"Time between two publications of the broker's counts below $SYS/broker; 0s is never."`

	ResponseInformation string `yaml:"response_information" doc:"Where MQTT 5 clients that ask for it may have responses sent, like reply/%c; %c is the client id. Empty is nowhere in particular."`

	Durability []Durability `yaml:"durability" doc:"How messages that must survive are kept, by topic; without an entry they are written at once."`

	Version string // of the program, as $SYS/broker/version has it
	Dir     string // where sessions, queues and retained messages are kept; empty: in memory alone
	TLSDir  string // where the certificates are that the hub makes
	Root    string // <prefix>/<node>, the topics of entities

	Access access.Config            // who may do what; its section is beside that of the broker
	Where  func(path string) string // FILE:LINE of a path in it; nil: there is no file
	Logins Logins                   // the users; nil: there are none
	Admin  Admin                    // does what is asked by MQTT; nil: nothing is
}

// A Listener is one address at which clients connect.
type Listener struct {
	URL       string   `yaml:"url" doc:"tcp://HOST:PORT, tls://HOST:PORT, ws://HOST:PORT/PATH, wss://HOST:PORT/PATH or unix:///PATH; port 0 takes any free port."`
	Cert      string   `yaml:"cert" doc:"PEM file with the certificate chain, for tls and wss; without it, the hub makes its own."`
	Key       string   `yaml:"key" doc:"PEM file with the private key, for tls and wss."`
	ClientCA  string   `yaml:"client_ca" doc:"PEM file with the authorities whose certificates clients must show, for tls and wss; the name in it is that of the client."`
	Origins   []string `yaml:"origins" doc:"Web origins, like https://home.example, whose pages may connect by WebSocket besides those of the same host."`
	Proxy     bool     `yaml:"proxy" doc:"Each connection must begin with a header of the PROXY protocol, version 2, in which a proxy says who its client is."`
	ProxyFrom []string `yaml:"proxy_from" doc:"Addresses and networks of the proxies that may connect; without it, those of this machine."`

	AllowAnonymous *bool `yaml:"allow_anonymous" doc:"Lets anybody in who comes here, without credentials and from anywhere, or nobody; without it, clients on this machine if allow_anonymous of the broker says so."`

	NoDelay     *bool `yaml:"nodelay" doc:"Sends small packets at once, as without this key; false lets the kernel gather them, which costs time and saves packets."`
	Connections int   `yaml:"connections" doc:"Connections of this listener at once; without it, as many as limits.connections allows."`

	Backlog   int    `yaml:"backlog" doc:"Connections that wait in the kernel until they are accepted; net.core.somaxconn is the default and the maximum."`
	Interface string `yaml:"interface" doc:"The network interface, like eth0, by which clients may come; without it, any."`
}

// Limits bounds what clients can make grow. Zero is never unlimited.
type Limits struct {
	ConnectTimeout time.Duration `yaml:"connect_timeout" doc:"Time from a connection to its complete CONNECT packet; a handshake before that has as long."`
	PacketBefore   int           `yaml:"packet_before" doc:"Bytes of a packet before the client is let in."`
	Packet         int           `yaml:"packet" doc:"Bytes of a packet after that."`
	TopicBytes     int           `yaml:"topic_bytes" doc:"Bytes of a topic name or filter."`
	TopicLevels    int           `yaml:"topic_levels" doc:"Levels of a topic name or filter."`
	UserProperties int           `yaml:"user_properties" doc:"User properties of one packet."`
	TopicAliases   int           `yaml:"topic_aliases" doc:"Topic aliases of one client, each way; 0 turns them off."`
	PacketRate     int           `yaml:"packet_rate" doc:"Bytes per second that a packet must come at once it has begun."`
	Idle           time.Duration `yaml:"idle" doc:"Longest silence of a client, whatever its keep-alive."`
	ReceiveMaximum int           `yaml:"receive_maximum" doc:"QoS 1 and 2 messages that a client may have sent without an acknowledgement."`
	Window         int           `yaml:"window" doc:"QoS 1 and 2 messages on their way to one client; its own receive maximum may be smaller."`
	QoS0Bytes      int           `yaml:"qos0_bytes" doc:"Bytes of QoS 0 messages that wait for a slow client; beyond, the oldest are dropped and counted."`
	QueueMessages  int           `yaml:"queue_messages" doc:"QoS 1 and 2 messages that wait for one session."`
	QueueBytes     int           `yaml:"queue_bytes" doc:"Bytes of QoS 1 and 2 messages that wait for one session."`
	UnkeptBytes    int           `yaml:"unkept_bytes" doc:"Bytes of QoS 1 and 2 messages that wait in memory for a client whose session ends with its connection, but no more than a twenty-fourth of the memory; beyond, both end."`
	QueueOverflow  QueueOverflow `yaml:"queue_overflow" doc:"At these limits: reject the publisher, or drop the oldest message and count it."`
	SessionExpiry  time.Duration `yaml:"session_expiry" doc:"Longest life of a session without a connection."`
	Sessions       int           `yaml:"sessions" doc:"Sessions in all, but no more than one for each 32 KiB of the memory; beyond, none begins that outlives its connection."`
	Subscriptions  int           `yaml:"subscriptions" doc:"Subscriptions of one session."`
	Connections    int           `yaml:"connections" doc:"Connections in all."`
	RetainedBytes  int           `yaml:"retained_bytes" doc:"Bytes of retained messages in all, but no more than a twentieth of the memory."`
	Memory         int64         `yaml:"memory" doc:"Bytes of memory of the process; near to that, what would take more is refused. 0 is GOMEMLIMIT, or three quarters of the cgroup's limit, or half of the machine's memory."`

	ConnectionsPerAddress int   `yaml:"connections_per_address" doc:"Connections of one address, or one /64 of IPv6, at once; those of this machine are not counted."`
	ConnectionRate        int   `yaml:"connection_rate" doc:"New connections of one address per second, on average; ten times as many may come at once."`
	ConnectionsPerUser    int   `yaml:"connections_per_user" doc:"Connections of one user at once."`
	SessionsPerUser       int   `yaml:"sessions_per_user" doc:"Sessions of one user."`
	QueueBytesPerUser     int64 `yaml:"queue_bytes_per_user" doc:"Bytes of QoS 1 and 2 messages that wait for all sessions of one user, unless the oldest are dropped."`

	StoreBytes   int64 `yaml:"store_bytes" doc:"Bytes of the journal on disk; beyond, messages that must survive are refused."`
	StoreReserve int64 `yaml:"store_reserve" doc:"Bytes of the file system that the journal leaves to others."`
}

// Overlapping says how often a message goes to a client several of whose
// subscriptions match it (MQTT 5.0, section 3.3.4).
type Overlapping string

// The choices.
const (
	Once Overlapping = "once"
	Each Overlapping = "each"
)

// Values lists the choices.
func (Overlapping) Values() []string { return []string{string(Once), string(Each)} }

// QueueOverflow says what happens to a message for a queue that is full.
type QueueOverflow string

// The policies.
const (
	Reject     QueueOverflow = "reject"
	DropOldest QueueOverflow = "drop-oldest"
)

// Values lists the policies.
func (QueueOverflow) Values() []string { return []string{string(Reject), string(DropOldest)} }

// DefaultConfig returns the limits that hold where a configuration is silent;
// it has no listeners and lets nobody in.
func DefaultConfig() Config {
	return Config{Overlapping: Once, SysInterval: 10 * time.Second, Version: "devel", Limits: Limits{
		ConnectTimeout: 4500 * time.Millisecond, // Who says nothing is gone within 5 s.
		PacketBefore:   16 << 10,
		Packet:         1 << 20,
		TopicBytes:     1024,
		TopicLevels:    32,
		UserProperties: 64,
		TopicAliases:   10,
		PacketRate:     1024,
		Idle:           2 * 24 * time.Hour,
		ReceiveMaximum: 1024,
		Window:         128,
		QoS0Bytes:      4 << 20,
		QueueMessages:  1_000_000,
		QueueBytes:     256 << 20,
		UnkeptBytes:    18 << 20,
		QueueOverflow:  Reject,
		SessionExpiry:  60 * 24 * time.Hour,
		Sessions:       10_000,
		Subscriptions:  1000,
		Connections:    10_000,
		RetainedBytes:  64 << 20,
		StoreBytes:     1 << 30,
		StoreReserve:   64 << 20,

		ConnectionsPerAddress: 1000,
		ConnectionRate:        100,
		ConnectionsPerUser:    5000, // Half of all, and so below.
		SessionsPerUser:       5000,
		QueueBytesPerUser:     512 << 20,
	}}
}

// Validate reports everything that is wrong with c, by path.
func (c Config) Validate() error {
	errs := []error{config.In("limits", c.Limits.validate()), checkResponseInformation(c.ResponseInformation)}
	if c.SysInterval != 0 && (c.SysInterval < time.Second || c.SysInterval > time.Hour) {
		errs = append(errs, config.Errorf("sys_interval", "must be 1s to 1h, or 0s for never, not %v", c.SysInterval))
	}
	if c.Overlapping != Once && c.Overlapping != Each {
		errs = append(errs, config.Errorf("overlapping", "must be once or each, not %q", string(c.Overlapping)))
	}
	for i, d := range c.Durability {
		errs = append(errs, config.In("durability["+itoa(i)+"]", d.validate()))
	}
	seen := make(map[string]int)
	for i, l := range c.Listeners {
		path := "listeners[" + itoa(i) + "]"
		errs = append(errs, config.In(path, l.validate()))
		at, _ := l.parse()
		if first, again := seen[l.URL]; again && !strings.HasSuffix(at.address, ":0") {
			errs = append(errs, config.Errorf(path+".url", "%s is listener %d already", l.URL, first))
		}
		seen[l.URL] = i
	}
	return errors.Join(errs...)
}

// checkResponseInformation wants what becomes a topic name, since that is what
// clients make of it.
func checkResponseInformation(s string) error {
	const path = "response_information"
	plain := strings.ReplaceAll(s, "%c", "c")
	switch {
	case s == "":
		return nil
	case strings.Contains(plain, "%"):
		return config.Errorf(path, "%q: only %%c, the client id, may follow a %%", s)
	}
	if err := topic.CheckName(plain); err != nil {
		return config.Errorf(path, "%w", err)
	}
	return nil
}

func (l Limits) validate() error {
	var errs []error
	check64 := func(path string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, config.Errorf(path, "must be %d to %d, not %d", low, high, v))
		}
	}
	check := func(path string, v, low, high int) { check64(path, int64(v), int64(low), int64(high)) }
	const big, huge = math.MaxInt32, 1 << 40
	check("packet_before", l.PacketBefore, 128, 1<<20)
	check("packet", l.Packet, 1024, 256<<20)
	check("topic_bytes", l.TopicBytes, 16, 65535)
	check("topic_levels", l.TopicLevels, 5, 200)
	check("user_properties", l.UserProperties, 0, 10_000)
	check("topic_aliases", l.TopicAliases, 0, 65535)
	check("packet_rate", l.PacketRate, 1, 1<<20)
	check("receive_maximum", l.ReceiveMaximum, 1, 65535)
	check("window", l.Window, 1, 65535)
	check("qos0_bytes", l.QoS0Bytes, 1024, big)
	check("queue_messages", l.QueueMessages, 1, big)
	check("queue_bytes", l.QueueBytes, 1024, big)
	check("unkept_bytes", l.UnkeptBytes, 1024, big)
	check("sessions", l.Sessions, 1, big)
	check("subscriptions", l.Subscriptions, 1, big)
	check("connections", l.Connections, 1, big)
	check("retained_bytes", l.RetainedBytes, 1024, big)
	check("connections_per_address", l.ConnectionsPerAddress, 1, big)
	check("connection_rate", l.ConnectionRate, 1, 100_000)
	check("connections_per_user", l.ConnectionsPerUser, 1, big)
	check("sessions_per_user", l.SessionsPerUser, 1, big)
	check64("queue_bytes_per_user", l.QueueBytesPerUser, 1024, math.MaxInt32)
	if l.Memory != 0 {
		check64("memory", l.Memory, 32<<20, huge)
	}
	check64("store_bytes", l.StoreBytes, 64<<20, huge)
	check64("store_reserve", l.StoreReserve, 0, huge)
	if l.ConnectTimeout < 100*time.Millisecond || l.ConnectTimeout > time.Minute {
		errs = append(errs, config.Errorf("connect_timeout", "must be 100ms to 1m, not %v", l.ConnectTimeout))
	}
	if l.Idle < 2*time.Second || l.Idle > 366*24*time.Hour {
		errs = append(errs, config.Errorf("idle", "must be 2s to 366d, not %v", l.Idle))
	}
	if l.SessionExpiry < time.Second || l.SessionExpiry/time.Second >= math.MaxUint32 {
		errs = append(errs, config.Errorf("session_expiry", "must be 1s to 136 years, not %v", l.SessionExpiry))
	}
	if l.QueueOverflow != Reject && l.QueueOverflow != DropOldest {
		errs = append(errs, config.Errorf("queue_overflow", "must be reject or drop-oldest, not %q", string(l.QueueOverflow)))
	}
	return errors.Join(errs...)
}

func (l Listener) validate() error {
	_, err := l.parse()
	if err != nil {
		return err // Of the rest, much is about the URL.
	}
	_, badProxies := l.proxies()
	return errors.Join(l.validateTLS(), l.validateWeb(), l.validateProxy(), badProxies, l.validateSocket())
}

func (l Listener) validateTLS() error {
	var errs []error
	secure := l.secure()
	for _, f := range []struct{ path, value, with string }{{"cert", l.Cert, l.Key}, {"key", l.Key, l.Cert}, {"client_ca", l.ClientCA, ""}} {
		switch {
		case secure && f.value == "" && f.with != "":
			errs = append(errs, config.Errorf(f.path, "a certificate and its key go together; give both PEM files, or none to have the hub make its own"))
		case !secure && f.value != "":
			errs = append(errs, config.Errorf(f.path, "only tls:// and wss:// have certificates; this listener is %s", l.URL))
		}
	}
	return errors.Join(errs...)
}

func (l Listener) validateWeb() error {
	if len(l.Origins) > 0 && !strings.HasPrefix(l.URL, "ws") {
		return config.Errorf("origins", "only ws:// and wss:// have origins; this listener is %s", l.URL)
	}
	return nil
}

func (l Listener) validateProxy() error {
	switch {
	case len(l.ProxyFrom) == 0:
		return nil
	case !l.Proxy:
		return config.Errorf("proxy_from", "needs proxy: true; without it, anybody may connect")
	case l.isUnix():
		return config.Errorf("proxy_from", "a unix socket has no addresses; who may open %s is trusted", l.URL)
	}
	return nil
}

// proxies returns the networks of the proxies that may connect.
func (l Listener) proxies() ([]netip.Prefix, error) {
	if len(l.ProxyFrom) == 0 {
		return trustedProxies, nil
	}
	var prefixes []netip.Prefix
	var errs []error
	for i, s := range l.ProxyFrom {
		p, err := parsePrefix(s)
		if err != nil {
			errs = append(errs, config.Errorf("proxy_from["+itoa(i)+"]", "%w", err))
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, errors.Join(errs...)
}

// validateSocket checks numbers, and what only TCP has.
func (l Listener) validateSocket() error {
	var errs []error
	for _, f := range []struct {
		path string
		set  bool
	}{{"nodelay", l.NoDelay != nil}, {"backlog", l.Backlog != 0}, {"interface", l.Interface != ""}} {
		if f.set && l.isUnix() {
			errs = append(errs, config.Errorf(f.path, "only listeners with a port have it; this listener is %s", l.URL))
		}
	}
	if l.Connections < 0 || l.Connections > math.MaxInt32 {
		errs = append(errs, config.Errorf("connections", "must be 1 to %d, not %d", math.MaxInt32, l.Connections))
	}
	if l.Backlog < 0 || l.Backlog > math.MaxUint16 {
		errs = append(errs, config.Errorf("backlog", "must be 1 to 65535, not %d", l.Backlog))
	}
	return errors.Join(errs...)
}

// secure reports whether what goes over the network is encrypted.
func (l Listener) secure() bool {
	return strings.HasPrefix(l.URL, "tls:") || strings.HasPrefix(l.URL, "wss:")
}

func (l Listener) isUnix() bool { return strings.HasPrefix(l.URL, "unix:") }

// nagle reports whether small packets wait for others (RFC 896).
func (l Listener) nagle() bool { return l.NoDelay != nil && !*l.NoDelay }

// An endpoint is what a listener's URL says.
type endpoint struct {
	scheme  string // tcp, tls, ws, wss or unix
	network string // for net.Listen
	address string
	path    string // of the HTTP request, for ws and wss; "/" is any
}

// defaultPorts are those of IANA, and what people use for WebSocket.
var defaultPorts = map[string]string{"tcp": "1883", "tls": "8883", "ws": "8083", "wss": "8084"}

func (l Listener) parse() (endpoint, error) {
	_, authority, _ := strings.Cut(l.URL, "://")
	if authority, _, _ = strings.Cut(authority, "/"); strings.Contains(authority, "@") {
		return endpoint{}, config.Errorf("url", "has a user, or a password, in it; here is where clients connect, and `edge user add` is for who may")
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		if strings.Contains(l.URL, "%") {
			return endpoint{}, config.Errorf("url", "%v; a zone is written with %%25: tcp://[fe80::1%%25eth0]:1883", err)
		}
		return endpoint{}, config.Errorf("url", "%v; want something like tcp://127.0.0.1:1883", err)
	}
	e := endpoint{scheme: u.Scheme, network: "tcp", path: u.Path}
	switch u.Scheme {
	case "unix":
		e.network, e.address = "unix", u.Path
		if u.Host != "" || u.Path == "" {
			return e, config.Errorf("url", "%q: want unix:///PATH with three slashes", l.URL)
		}
		return e, nil
	case "tcp", "tls", "ws", "wss":
	default:
		return e, config.Errorf("url", "%q: the scheme must be tcp, tls, ws, wss or unix", l.URL)
	}
	if (u.Scheme == "tcp" || u.Scheme == "tls") && u.Path != "" && u.Path != "/" {
		return e, config.Errorf("url", "%q: %s has no path", l.URL, u.Scheme)
	}
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return e, config.Errorf("url", "%q: port %s: must be 0 to 65535", l.URL, port)
	}
	e.address = net.JoinHostPort(u.Hostname(), port)
	return e, nil
}

// Local reports whether only clients on this machine can reach l. Those of a
// proxy can be anywhere.
func (l Listener) Local() bool {
	e, err := l.parse()
	switch {
	case err != nil || l.Proxy:
		return false
	case e.scheme == "unix":
		return true
	}
	host, _, _ := net.SplitHostPort(e.address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
