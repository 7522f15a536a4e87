package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
	"github.com/spf13/cobra"

	"edge/internal/topic"
)

// A subscriber is one `edge sub`.
type subscriber struct {
	*app
	remote
	topics            []string
	unwanted          []string // -T
	unsubscribe       []string // -U
	qos               int
	count             int // -C: messages until it is done; 0 is no end
	seconds           int // -W
	verbose           bool
	noNewline         bool
	noRetained        bool // -R
	onlyRetained      bool
	removeRetained    bool
	retainAsPublished bool
	exitAfter         bool // -E
	pretty            bool
	format            string

	print    func(*paho.Publish) error
	seen     int
	finished bool       // nothing more is wanted
	result   error      // why
	done     chan error // receives result when the last message is acknowledged
}

func (a *app) subCommand() *cobra.Command {
	s := &subscriber{app: a}
	cmd := &cobra.Command{
		Use:   "sub [flags] TOPIC...",
		Short: "Subscribe at any MQTT 5 broker and print what comes",
		Example: `  edge sub -v 'edge/#'                     everything, with topics
  edge sub -t 'edge/+/+/status' --json     one JSON object a line
  edge sub -h hub.local -C 1 -W 5 house/mode
                                           the value now; fails after 5 seconds
  edge sub -i logger -c -q 1 'house/#'     a session that is kept while away
  edge sub -F '%I %t %p' 'house/#'         own format: time, topic, payload`,
		Long: "The flags are those of mosquitto_sub, so -h is the host; help is --help.\n\n" + formatHelp,
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	fs := cmd.Flags()
	fs.StringArrayVarP(&s.topics, "topic", "t", nil, "topic filter; may be repeated")
	fs.IntVarP(&s.qos, "qos", "q", 0, "highest quality of service wanted: 0, 1 or 2")
	fs.BoolVarP(&s.verbose, "verbose", "v", false, "print the topic before the payload")
	fs.IntVarP(&s.count, "count", "C", 0, "end after so many messages")
	fs.IntVarP(&s.seconds, "wait", "W", 0, "end after so many seconds, with exit code 6")
	fs.StringVarP(&s.format, "format", "F", "", "how to print a message")
	fs.BoolVarP(&s.noNewline, "no-newline", "N", false, "no end of line after the payload")
	fs.BoolVarP(&s.noRetained, "no-retained", "R", false, "skip messages that were retained")
	fs.BoolVar(&s.onlyRetained, "retained-only", false, "only messages that were retained; end at the first other")
	fs.BoolVar(&s.removeRetained, "remove-retained", false, "delete the retained messages that are printed")
	fs.BoolVar(&s.retainAsPublished, "retain-as-published", false, "show the retain flag as the publisher set it")
	fs.StringArrayVarP(&s.unwanted, "filter-out", "T", nil, "topic filter of what not to print; may be repeated")
	fs.StringArrayVarP(&s.unsubscribe, "unsubscribe", "U", nil, "topic filter to unsubscribe from; may be repeated")
	fs.BoolVarP(&s.exitAfter, "exit-after-subscribe", "E", false, "end when the subscriptions are acknowledged")
	fs.BoolVarP(&s.persistent, "disable-clean-session", "c", false, "keep the session of this client id while away")
	fs.BoolVar(&s.pretty, "pretty", false, "JSON on several lines")
	a.jsonFlag(cmd, "print one JSON object for each message")
	s.flags(fs)
	return cmd
}

func (s *subscriber) run(ctx context.Context, args []string) error {
	if err := s.resolve(); err != nil {
		return err
	}
	if err := s.arguments(args); err != nil {
		return usageError{err}
	}
	if err := s.findPassword(&s.remote, true); err != nil {
		return err
	}
	if s.seconds > 0 {
		var cancel context.CancelFunc
		late := coded(exitTimedOut, fmt.Errorf("timed out after %d seconds", s.seconds))
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(s.seconds)*time.Second, late)
		defer cancel()
	}
	return s.stay(ctx)
}

func (s *subscriber) arguments(args []string) error {
	s.topics = append(s.topics, args...)
	if s.topicInURL != "" {
		s.topics = append(s.topics, s.topicInURL)
	}
	if len(s.topics) == 0 && len(s.unsubscribe) == 0 {
		return errors.New("no topic; give one with -t, like -t '#' for all")
	}
	var errs []error
	for _, list := range [][]string{s.topics, s.unwanted, s.unsubscribe} {
		for _, f := range list {
			errs = append(errs, topic.CheckFilter(f))
		}
	}
	if s.qos < 0 || s.qos > 2 {
		errs = append(errs, fmt.Errorf("-q %d: must be 0, 1 or 2", s.qos))
	}
	if s.count < 0 || s.count > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("-C %d: must be 1 or more", s.count))
	}
	if s.noRetained && s.onlyRetained {
		errs = append(errs, errors.New("-R and --retained-only leave nothing"))
	}
	var err error
	s.print, err = s.printer()
	return errors.Join(append(errs, err)...)
}

// stay serves one connection after the other until the user or the count has
// had enough. Only the first attempt may fail for good.
func (s *subscriber) stay(ctx context.Context) error {
	kept := state.NewInMemory()
	defer kept.Close()
	s.done = make(chan error, 1)
	wait := time.Second
	for first := true; ; first = false {
		began := time.Now()
		err := s.serve(ctx, kept)
		if err == nil || ctx.Err() != nil || (first && !isLost(err)) || !mayHeal(err) {
			return ended(ctx, err)
		}
		if time.Since(began) > time.Minute {
			wait = time.Second
		}
		if !s.quiet {
			fmt.Fprintf(s.err, "edge: %v; trying again in %s\n", err, wait)
		}
		select {
		case <-ctx.Done():
			return ended(ctx, nil)
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// ended returns what the end of ctx means: nothing wrong if somebody asked for
// it by a signal.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if e, ok := errors.AsType[codedError](context.Cause(ctx)); ok {
		return e
	}
	return nil
}

// A lostError ended a connection that had been up.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

func isLost(err error) bool {
	_, ok := errors.AsType[lostError](err)
	return ok
}

// mayHeal reports whether trying again can help: it cannot against access
// control, nor when the broker names a mistake of ours.
func mayHeal(err error) bool {
	e, ok := errors.AsType[codedError](err)
	return ok && e.code == exitUnreachable
}

// serve is one connection, from dialling to its end.
func (s *subscriber) serve(ctx context.Context, kept *state.State) error {
	l, err := s.connect(ctx, acknowledger{kept, s.acknowledged}, s.handle)
	if err != nil {
		return err
	}
	defer l.bye() //nolint:errcheck // the session ends with the connection in any case
	s.note(&s.remote, "connected to %s://%s as %q, session present %t", s.scheme, s.address, l.ClientID(), l.ack.SessionPresent)
	if err := s.subscribeTo(ctx, l); err != nil {
		return err
	}
	if s.exitAfter {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-s.done:
		return err
	case err := <-l.lost:
		if _, ok := errors.AsType[codedError](err); !ok {
			err = coded(exitUnreachable, err)
		}
		return lostError{err}
	}
}

func (s *subscriber) subscribeTo(ctx context.Context, l *link) error {
	if len(s.topics) > 0 {
		req := &paho.Subscribe{Properties: &s.properties.subscribe}
		for _, t := range s.topics {
			req.Subscriptions = append(req.Subscriptions, paho.SubscribeOptions{
				Topic: t, QoS: byte(s.qos), RetainAsPublished: s.retainAsPublished,
			})
		}
		ack, err := l.Subscribe(ctx, req)
		if ack != nil {
			if n := len(ack.Reasons); n != len(s.topics) {
				return coded(exitUnreachable, fmt.Errorf("subscribe: the broker answers for %d topics and not %d; it does not speak MQTT", n, len(s.topics)))
			}
			for i, code := range ack.Reasons {
				if code >= 0x80 {
					return refused("subscribe to "+s.topics[i], code, ack.Properties.ReasonString)
				}
				s.note(&s.remote, "subscribed to %s, QoS %d", s.topics[i], code)
			}
		}
		if err != nil {
			return s.noAnswer(ctx, l, "subscribe", err)
		}
	}
	if len(s.unsubscribe) == 0 {
		return nil
	}
	if _, err := l.Unsubscribe(ctx, &paho.Unsubscribe{Topics: s.unsubscribe}); err != nil {
		return s.noAnswer(ctx, l, "unsubscribe", err)
	}
	return nil
}

func (s *subscriber) noAnswer(ctx context.Context, l *link, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return coded(exitTimedOut, fmt.Errorf("%s: not acknowledged within %s", doing, s.timeout))
	case errors.Is(err, paho.ErrInvalidArguments):
		return fmt.Errorf("%s: %w", doing, err)
	}
	select {
	case reason := <-l.lost:
		return lostError{coded(exitUnreachable, fmt.Errorf("%s: %w", doing, reason))}
	case <-time.After(200 * time.Millisecond):
		return lostError{coded(exitUnreachable, fmt.Errorf("%s: %w", doing, err))}
	}
}

// handle prints m and finds out whether it was the last one.
func (s *subscriber) handle(c *paho.Client, m *paho.Publish) {
	switch {
	case s.finished:
		return
	case s.onlyRetained && !m.Retain:
		s.finished = true
		return
	case !s.wanted(m):
		return
	}
	if err := s.print(m); err != nil {
		s.finished, s.result = true, err
		return
	}
	if s.removeRetained && m.Retain && len(m.Payload) > 0 {
		_, err := c.Publish(context.Background(), &paho.Publish{Topic: m.Topic, Retain: true})
		if err != nil {
			s.note(&s.remote, "delete retained %s: %v", m.Topic, err)
		}
	}
	s.seen++
	s.finished = s.count > 0 && s.seen == s.count
}

// acknowledged is called after each acknowledgement was written.
func (s *subscriber) acknowledged() {
	if !s.finished {
		return
	}
	select {
	case s.done <- s.result:
	default:
	}
}

// An acknowledger tells when the session has acknowledged a message: to end
// before that would have the broker send the last one again.
type acknowledger struct {
	*state.State
	after func()
}

// Ack implements session.SessionManager.
func (a acknowledger) Ack(m *packets.Publish) error {
	err := a.State.Ack(m)
	a.after()
	return err
}

// wanted reports whether m is to be printed.
func (s *subscriber) wanted(m *paho.Publish) bool {
	if s.noRetained && m.Retain {
		return false
	}
	for _, f := range s.unwanted {
		if topic.Match(shareless(f), m.Topic) {
			return false
		}
	}
	return true
}

func shareless(filter string) string {
	if strings.HasPrefix(filter, topic.SharePrefix) {
		_, filter = topic.Share(filter)
	}
	return filter
}
