// Package broker is the MQTT server of edge.
package broker

import (
	"context"
	"errors"
	"log/slog"

	"edge/bridge"
)

// A Broker is a running MQTT server.
type Broker struct{}

// DefaultConfig returns the limits that hold where a configuration is silent;
// it has no listeners and lets nobody in.
func DefaultConfig() Config { return Config{} }

// Validate reports everything that is wrong with c, by path.
func (c Config) Validate() error { return nil }

// Open starts a broker. When it returns, all listeners accept connections.
// prefix is the first level of the topics of bridges (`edge`): a retained or
// expired command under it is refused.
func Open(cfg Config, prefix string, log *slog.Logger) (*Broker, error) {
	return nil, errors.New("not written yet")
}

// URLs returns the addresses at which the broker listens, with the ports taken.
func (b *Broker) URLs() []string { return nil }

// Client returns a client within the process that acts under name.
func (b *Broker) Client(name string) bridge.Client { return nil }

// Reload applies cfg: only listeners that changed are closed or opened. On an
// error nothing has changed.
func (b *Broker) Reload(cfg Config) error { return nil }

// Close ends all connections and returns when nothing runs any more, or when
// ctx ends.
func (b *Broker) Close(ctx context.Context) error { return nil }
