package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/spf13/cobra"

	"edge/internal/topic"
)

// A publisher is one `edge pub`.
type publisher struct {
	*app
	remote
	topic       string
	message     string
	file        string
	qos         int
	retain      bool
	null        bool // an empty payload
	lines       bool // one message for each line of stdin
	stdin       bool // all of stdin is one message
	repeat      int
	repeatDelay float64 // seconds

	hasMessage bool
	sent       int
}

func (a *app) pubCommand() *cobra.Command {
	p := &publisher{app: a}
	cmd := &cobra.Command{
		Use:   "pub [flags] TOPIC [MESSAGE]",
		Short: "Publish messages to any MQTT 5 broker",
		Example: `  edge pub edge/demo/board/relay1/set ON
  edge pub -t edge/demo/board/relay1/set -m '{"value":"ON","for":"5s"}'
  edge pub -h hub.local -q 1 -r -t house/mode -m away
  edge pub -r -n -t house/mode                 empty and retained: forget it
  sensor | edge pub -l -t house/log            a message for each line
  edge pub -t a/b -f picture.jpg -D publish content-type image/jpeg`,
		Long: "The flags are those of mosquitto_pub, so -h is the host; help is --help.",
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.hasMessage = cmd.Flags().Changed("message")
			return p.run(cmd.Context(), args)
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&p.topic, "topic", "t", "", "topic to publish to")
	fs.StringVarP(&p.message, "message", "m", "", "payload")
	fs.StringVarP(&p.file, "file", "f", "", "file whose content is the payload")
	fs.BoolVarP(&p.null, "null-message", "n", false, "empty payload")
	fs.BoolVarP(&p.lines, "stdin-line", "l", false, "a message for each line of stdin")
	fs.BoolVarP(&p.stdin, "stdin-file", "s", false, "all of stdin is the payload")
	fs.IntVarP(&p.qos, "qos", "q", 0, "quality of service: 0, 1 or 2")
	fs.BoolVarP(&p.retain, "retain", "r", false, "the broker keeps the message for those who subscribe later")
	fs.IntVar(&p.repeat, "repeat", 1, "how often to publish the message")
	fs.Float64Var(&p.repeatDelay, "repeat-delay", 0, "seconds between repetitions")
	fs.BoolVarP(&p.persistent, "disable-clean-session", "c", false, "keep the session of this client id")
	a.jsonFlag(cmd, "print one JSON object for each message that was published")
	p.flags(fs)
	return cmd
}

func (p *publisher) run(ctx context.Context, args []string) error {
	if err := p.resolve(); err != nil {
		return err
	}
	if err := p.arguments(args); err != nil {
		return usageError{err}
	}
	if err := p.findPassword(&p.remote, !p.lines && !p.stdin); err != nil {
		return err
	}
	payload, err := p.payload()
	if err != nil {
		return err
	}
	l, err := p.connect(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer l.bye() //nolint:errcheck // everything was acknowledged, or another error is on its way
	p.note(&p.remote, "connected to %s://%s as %q", p.scheme, p.address, l.ClientID())
	if p.lines {
		return p.publishLines(ctx, l)
	}
	return p.publishRepeatedly(ctx, l, payload)
}

// arguments takes topic and message from where they were given and reports
// what does not fit together.
func (p *publisher) arguments(args []string) error {
	if p.topic == "" {
		p.topic = p.topicInURL
	}
	if p.topic == "" && len(args) > 0 {
		p.topic, args = args[0], args[1:]
	}
	if len(args) == 1 && !p.hasMessage {
		p.message, p.hasMessage, args = args[0], true, nil
	}
	if len(args) > 0 {
		return fmt.Errorf("%q: topic and message are given already", args[0])
	}
	if p.topic == "" {
		return errors.New("no topic; give one with -t")
	}
	if err := topic.CheckName(p.topic); err != nil {
		return err
	}
	if p.qos < 0 || p.qos > 2 {
		return fmt.Errorf("-q %d: must be 0, 1 or 2", p.qos)
	}
	sources := 0
	for _, given := range []bool{p.hasMessage, p.file != "", p.null, p.lines, p.stdin} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		return errors.New("give the payload once: as MESSAGE or by -m, -f, -n, -l or -s")
	}
	return nil
}

func (p *publisher) payload() ([]byte, error) {
	switch {
	case p.file != "":
		b, err := os.ReadFile(p.file)
		if err != nil {
			return nil, fmt.Errorf("read payload: %w", err)
		}
		return b, nil
	case p.stdin:
		b, err := io.ReadAll(p.in)
		if err != nil {
			return nil, fmt.Errorf("read payload from stdin: %w", err)
		}
		return b, nil
	}
	return []byte(p.message), nil
}

func (p *publisher) publishRepeatedly(ctx context.Context, l *link, payload []byte) error {
	for i := range p.repeat {
		if i > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Duration(p.repeatDelay * float64(time.Second))):
			}
		}
		if err := p.publish(ctx, l, payload); err != nil {
			return err
		}
	}
	return nil
}

// publishLines reads in a goroutine of its own, which a read of stdin may
// outlive: nothing can interrupt it.
func (p *publisher) publishLines(ctx context.Context, l *link) error {
	lines, ended := make(chan []byte), make(chan error, 1)
	go func() {
		scan := bufio.NewScanner(p.in)
		scan.Buffer(nil, 16<<20)
		for scan.Scan() {
			select {
			case lines <- append([]byte(nil), scan.Bytes()...):
			case <-ctx.Done():
				return
			}
		}
		ended <- scan.Err()
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-l.lost:
			return coded(exitUnreachable, err)
		case line := <-lines:
			if err := p.publish(ctx, l, line); err != nil {
				return err
			}
		case err := <-ended:
			return err
		}
	}
}

// publish returns when the broker has acknowledged payload as its QoS asks.
func (p *publisher) publish(ctx context.Context, l *link, payload []byte) error {
	properties := p.properties.publish
	m := &paho.Publish{Topic: p.topic, QoS: byte(p.qos), Retain: p.retain, Payload: payload, Properties: &properties}
	resp, err := l.Publish(ctx, m)
	doing := "publish to " + p.topic
	switch {
	case resp != nil && resp.ReasonCode >= 0x80:
		reason := ""
		if resp.Properties != nil {
			reason = resp.Properties.ReasonString
		}
		return refused(doing, resp.ReasonCode, reason)
	case err == nil:
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded):
		return coded(exitTimedOut, fmt.Errorf("%s: not acknowledged within %s", doing, p.timeout))
	case errors.Is(err, paho.ErrInvalidArguments):
		return fmt.Errorf("%s: %w", doing, err)
	default:
		return p.lostWhile(l, doing, err)
	}
	p.sent++
	p.note(&p.remote, "published %d bytes to %s, QoS %d", len(payload), p.topic, p.qos)
	if !p.json {
		return nil
	}
	return json.NewEncoder(p.out).Encode(published{p.topic, p.qos, p.retain, len(payload), reasonCode(resp)})
}

// lostWhile prefers the broker's reason, which may come a moment after the
// write failed, to what the write said.
func (p *publisher) lostWhile(l *link, doing string, err error) error {
	select {
	case reason := <-l.lost:
		if e, ok := errors.AsType[codedError](reason); ok {
			return coded(e.code, fmt.Errorf("%s: %w", doing, reason))
		}
		return coded(exitUnreachable, fmt.Errorf("%s: %w", doing, reason))
	case <-time.After(200 * time.Millisecond):
		return coded(exitUnreachable, fmt.Errorf("%s: %w", doing, err))
	}
}

// A published is a line of `edge pub --json`.
type published struct {
	Topic      string `json:"topic"`
	QoS        int    `json:"qos"`
	Retain     bool   `json:"retain"`
	Bytes      int    `json:"bytes"`
	ReasonCode byte   `json:"reason_code"`
}

func reasonCode(r *paho.PublishResponse) byte {
	if r == nil {
		return 0
	}
	return r.ReasonCode
}
