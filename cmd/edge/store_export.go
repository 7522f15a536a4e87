package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"edge/broker"
	"edge/broker/journal"
	"edge/internal/wholefile"
)

func (a *app) storeExportCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write everything in the store as lines of JSON",
		Example: `  edge store export | jq 'select(.type == "queued")'
  edge store export --data /var/lib/edge store.jsonl`,
		Long: `Each line has a type: session, subscription, packet-id, will, queued or retained. A
payload that is text is "payload", another is "payload_base64". A file is readable
by its owner only, and is there when it is complete.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return readStore(p.dir(), func(s *broker.Store) error {
				if len(args) == 0 {
					return export(a.out, s)
				}
				return wholefile.Write(args[0], func(f *os.File) error { return export(f, s) })
			})
		},
	}
	p.flags(cmd.Flags())
	return cmd
}

// A storeLine is one line of an export.
type storeLine struct {
	Type   string `json:"type"`
	Client string `json:"client,omitempty"`

	// Of a session.
	Expiry       *uint32    `json:"expiry,omitempty"` // seconds
	Disconnected *time.Time `json:"disconnected,omitempty"`

	Subscription *storeSubscription `json:"subscription,omitempty"`

	// Of a message to a client.
	PacketID uint16   `json:"packet_id,omitempty"`
	Sequence *uint64  `json:"sequence,omitempty"`
	Released bool     `json:"released,omitempty"` // only PUBREL and PUBCOMP are left to be exchanged
	IDs      []uint32 `json:"subscription_ids,omitempty"`

	Delay   uint32        `json:"delay,omitempty"` // of a will, seconds
	Message *storeMessage `json:"message,omitempty"`
	Damage  string        `json:"damage,omitempty"` // why there is no message
}

type storeSubscription struct {
	Filter            string `json:"filter"`
	ID                uint32 `json:"id,omitempty"`
	QoS               byte   `json:"qos"`
	NoLocal           bool   `json:"no_local,omitempty"`
	RetainAsPublished bool   `json:"retain_as_published,omitempty"`
	RetainHandling    byte   `json:"retain_handling,omitempty"`
}

type storeMessage struct {
	Topic   string     `json:"topic"`
	Payload *string    `json:"payload,omitempty"`
	Base64  []byte     `json:"payload_base64,omitempty"`
	QoS     byte       `json:"qos"`
	Retain  bool       `json:"retain,omitempty"`
	Origin  string     `json:"origin,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`

	Text          bool        `json:"text,omitempty"`
	ContentType   string      `json:"content_type,omitempty"`
	ResponseTopic string      `json:"response_topic,omitempty"`
	Correlation   []byte      `json:"correlation_data_base64,omitempty"`
	User          [][2]string `json:"user,omitempty"`
}

func export(w io.Writer, s *broker.Store) error {
	b := bufio.NewWriterSize(w, 64<<10)
	out := json.NewEncoder(b)
	out.SetEscapeHTML(false)
	first := uint64(0) // number of the session that lines are about
	err := s.Each(func(r *journal.Record, damage error) error {
		switch r.Kind {
		case journal.ClockRead:
			return nil // It means something to the journal only.
		case journal.SessionBegun:
			first = r.Sequence
		}
		return out.Encode(lineOf(r, first, damage))
	})
	if err != nil {
		return err
	}
	return b.Flush()
}

func lineOf(r *journal.Record, first uint64, damage error) storeLine {
	l := storeLine{Client: r.Client, PacketID: r.PacketID, Delay: r.Delay, Message: messageOf(r.Message)}
	if damage != nil {
		l.Damage = damage.Error()
	}
	switch r.Kind {
	case journal.SessionBegun:
		l.Type, l.Expiry, l.Disconnected = "session", &r.Expiry, timeOf(r.Since)
	case journal.Subscribed:
		sub := storeSubscription(r.Subscription)
		l.Type, l.Subscription = "subscription", &sub
	case journal.Owned:
		l.Type = "packet-id"
	case journal.WillSet:
		l.Type = "will"
	case journal.Published:
		if l.Type = "retained"; len(r.Targets) > 0 {
			l.queued(r.Targets[0])
			l.PacketID = journal.PacketID(r.Targets[0].Sequence, first)
		}
	}
	return l
}

// queued makes l the line of a message to a client.
func (l *storeLine) queued(t journal.Target) {
	l.Type, l.Client, l.Sequence, l.Released, l.IDs = "queued", t.Client, &t.Sequence, t.Released, t.IDs
	if l.Message != nil {
		l.Message.QoS, l.Message.Retain = t.QoS, t.Retain
	}
}

func messageOf(m *journal.Message) *storeMessage {
	if m == nil {
		return nil
	}
	s := storeMessage{Topic: m.Topic, QoS: m.QoS, Retain: m.Retain, Origin: m.Origin, Expires: timeOf(m.Expires)}
	if utf8.Valid(m.Payload) {
		text := string(m.Payload)
		s.Payload = &text
	} else {
		s.Base64 = m.Payload
	}
	if p := m.Props; p != nil {
		s.Text, s.ContentType, s.ResponseTopic, s.Correlation = p.Text, p.ContentType, p.ResponseTopic, p.CorrelationData
		for _, u := range p.User {
			s.User = append(s.User, [2]string{u.Name, u.Value})
		}
	}
	return &s
}

// timeOf returns the time of Unix seconds; zero is none.
func timeOf(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := time.Unix(unix, 0).UTC()
	return &t
}
