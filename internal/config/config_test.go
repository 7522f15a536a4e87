package config

import (
	"net/netip"
	"time"
)

// The types that the tests configure: one of everything that can be read.

type level string

func (level) Values() []string { return []string{"debug", "info", "warn", "off"} }

type hub struct {
	Node    string                        `yaml:"node" doc:"The name of this board in topics."`
	Level   level                         `yaml:"level" doc:"How much is logged."`
	Broker  server                        `yaml:"broker" doc:"The MQTT server."`
	Bridges map[string]map[string]Section `yaml:"bridges" doc:"What is bridged into the broker, by name."`
	Labels  map[string]string             `yaml:"labels" doc:"Free words about this board."`
	Extra   any                           `yaml:"extra" doc:"Anything."`
}

type server struct {
	AllowAnonymous bool          `yaml:"allow_anonymous" doc:"Let clients in without credentials."`
	Listeners      []listener    `yaml:"listeners" doc:"Where clients connect."`
	Timeout        time.Duration `yaml:"connect_timeout" doc:"From accept to CONNECT."`
	Ratio          float64       `yaml:"ratio" doc:"A ratio."`
	Packet         int           `yaml:"packet" doc:"Bytes of a packet."`
	Hidden         string        // has no tag and is not read
}

type listener struct {
	Address netip.Addr `yaml:"address" doc:"The address to bind."`
	Port    uint16     `yaml:"port" doc:"The TCP port."`
	TLS     *tls       `yaml:"tls" doc:"Encrypt."`
}

// SetDefaults makes 1883 the port of each item.
func (l *listener) SetDefaults() { l.Port = 1883 }

type tls struct {
	Cert string `yaml:"cert" doc:"PEM file."`
	Key  string `yaml:"key" doc:"PEM file."`
}

type relay struct {
	common `yaml:",inline"`
	Pins   []pin       `yaml:"pins" doc:"The lines."`
	Map    map[int]pin `yaml:"map" doc:"Lines by number."`
}

type common struct {
	Prefix string `yaml:"prefix" doc:"First level of topics."`
}

type pin struct {
	Line int    `yaml:"line" doc:"The offset of the line."`
	Name string `yaml:"name" doc:"For people."`
}

func defaultHub() hub {
	return hub{Node: "pi", Level: "info", Broker: server{Timeout: 5 * time.Second, Packet: 1 << 20}}
}
