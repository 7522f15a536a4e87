// Package bridge is the hub between the broker and everything that is bridged
// into it. It says what a message, a client of the broker and a bridge are, how
// a bridge announces its device, and it keeps bridges running (Supervise). It
// knows no broker, no hardware and no protocol but the names of topics.
package bridge

import (
	"context"
	"time"
)

// A Client is a connection to the broker from within the process. All methods
// may be called from several goroutines at once.
type Client interface {
	// Publish returns when the broker has taken responsibility for m, as an
	// acknowledgement would tell a network client. The broker keeps no
	// reference to m.Payload.
	Publish(ctx context.Context, m Message) error

	// Subscribe returns when the subscription is made. From then on handle is
	// called for each message that matches filter, retained ones first, one at
	// a time and in order, until ctx ends. handle may publish; it must not
	// change the payload.
	Subscribe(ctx context.Context, filter string, handle func(Message)) error
}

// A Bridge carries messages between the broker and one other world.
type Bridge interface {
	// Run opens the other world, announces its devices, and serves until ctx
	// ends; then it lets go of everything and returns nil. An error means that
	// the other world was lost, and that Run should be called again.
	Run(ctx context.Context, c Client) error
}

// A Message is an application message (MQTT 5.0, section 3.3).
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte // 0, 1 or 2
	Retain  bool // published: to be kept for its topic; received: it was kept

	// Lasting has a retained message survive the process. What a bridge retains
	// otherwise is what it says anew at each start.
	Lasting bool

	// Expiry is how long the message may wait for its receiver, in whole
	// seconds; zero means for ever (section 3.3.2.3.3).
	Expiry time.Duration

	Text            bool           // the payload is UTF-8 (section 3.3.2.3.2)
	ContentType     string         // section 3.3.2.3.9
	ResponseTopic   string         // section 3.3.2.3.5
	CorrelationData []byte         // section 3.3.2.3.6
	User            []UserProperty // section 3.3.2.3.7, in order

	// From and Received are the broker's to say, of messages that are received; of
	// those that were kept they may be empty. Received is that of commands alone.
	From     Sender
	Received time.Time // when the broker had the message, by the process's monotonic clock
}

// A Sender is who has published a message, as far as the broker knows.
type Sender struct {
	Client string // client id
	User   string // name of the principal; empty for who has shown no credentials; Hub

	// Connection is that of the client, as in $SYS/broker/clients/gone, and another
	// one at each start. It is 0 for a will, and where nobody knows.
	Connection uint64
}

// Hub is the user of messages of the hub itself. Nobody else has it.
const Hub = "$hub"

// String returns who it is, for people: the user, or else the client.
func (s Sender) String() string {
	switch {
	case s.User != "":
		return s.User
	case s.Client != "":
		return "client " + s.Client
	}
	return "somebody unknown"
}

// A UserProperty is a name and value that MQTT 5 carries beside the payload.
type UserProperty struct{ Name, Value string }
