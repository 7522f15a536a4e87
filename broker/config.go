package broker

import (
	"time"
)

// Config is the `broker:` section of the configuration.
type Config struct {
	// AllowAnonymous lets clients in that show no credentials. It is meant for
	// listeners on the loopback interface and for tests.
	AllowAnonymous bool `yaml:"allow_anonymous"`

	// Listeners says where clients may connect.
	Listeners []Listener `yaml:"listeners"`

	Limits Limits `yaml:"limits"`
}

// A Listener is one address at which clients connect.
type Listener struct {
	// URL is tcp://HOST:PORT, tls://HOST:PORT, ws://HOST:PORT/PATH,
	// wss://HOST:PORT/PATH or unix:///PATH. Port 0 takes any free port.
	URL string `yaml:"url"`

	// Cert and Key are PEM files, needed by tls and wss.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Limits bounds everything that a client can make grow.
type Limits struct {
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // from accept to a complete CONNECT
	PacketBefore   int           `yaml:"packet_before"`   // bytes of a packet before login
	Packet         int           `yaml:"packet"`          // bytes of a packet after login
	TopicBytes     int           `yaml:"topic_bytes"`     // of a topic name or filter
	TopicLevels    int           `yaml:"topic_levels"`    // of a topic name or filter
	ReceiveMaximum int           `yaml:"receive_maximum"` // QoS 1 and 2 messages that a client may have unacknowledged
	MaxInflight    int           `yaml:"max_inflight"`    // the same towards a client, below its own receive maximum
	QueueMessages  int           `yaml:"queue_messages"`  // QoS 1 and 2 messages that wait for one session
	QueueBytes     int           `yaml:"queue_bytes"`     // their bytes
	SessionExpiry  time.Duration `yaml:"session_expiry"`  // longest life of a session without connection
	Connections    int           `yaml:"connections"`     // at once, in all
	Subscriptions  int           `yaml:"subscriptions"`   // of one session
}
