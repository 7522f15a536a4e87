package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session"
	"golang.org/x/term"
)

// A link is one connection to a broker.
type link struct {
	*paho.Client
	remote *remote
	lost   chan error // why the connection ended without being asked to
	ack    *paho.Connack
}

// connect dials and logs in. handle gets the messages, one at a time; state
// may carry a session over from an earlier link. Both may be nil.
func (r *remote) connect(ctx context.Context, state session.SessionManager, handle func(*paho.Client, *paho.Publish)) (*link, error) {
	r.limitIncoming()
	connect, err := r.connectPacket()
	if err != nil {
		return nil, err
	}
	if state == nil {
		state = newBrief()
	}
	if handle == nil {
		handle = func(*paho.Client, *paho.Publish) {}
	}
	dialCtx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	conn, err := r.dial(dialCtx)
	if err != nil {
		return nil, r.unreachable(err)
	}
	l := &link{remote: r, lost: make(chan error, 4)}
	l.Client = paho.NewClient(paho.ClientConfig{
		Conn:          packets.NewThreadSafeConn(r.framed(conn)),
		Session:       steady{state},
		PacketTimeout: r.timeout,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) { handle(p.Client, p.Packet); return true, nil },
		},
		OnClientError:      func(err error) { l.lose(fmt.Errorf("connection lost: %w", err)) },
		OnServerDisconnect: func(d *paho.Disconnect) { l.lose(disconnected(d)) },
	})
	l.ack, err = l.Connect(dialCtx, connect)
	if err != nil {
		conn.Close()
		return nil, r.notAccepted(ctx, l.ack, err)
	}
	return l, nil
}

// lose remembers the first reasons; later ones follow from them.
func (l *link) lose(err error) {
	select {
	case l.lost <- err:
	default:
	}
}

// bye ends the connection in order.
func (l *link) bye() error {
	d := &paho.Disconnect{Properties: &l.remote.properties.disconnect}
	return l.Disconnect(d)
}

func (r *remote) connectPacket() (*paho.Connect, error) {
	p := r.properties.connect
	p.RequestProblemInfo = true
	c := &paho.Connect{
		ClientID:   r.id,
		KeepAlive:  uint16(r.keepAlive), // resolve checked the range.
		CleanStart: !r.persistent,
		Properties: &p,
	}
	if c.Properties.SessionExpiryInterval == nil {
		expiry, err := r.sessionExpiry()
		if err != nil {
			return nil, err
		}
		c.Properties.SessionExpiryInterval = expiry
	}
	if r.persistent && r.id == "" {
		return nil, usageError{errors.New("a session that is to be found again needs a name: give a client id with -i")}
	}
	if r.user != "" {
		c.UsernameFlag, c.Username = true, r.user
	}
	if r.password != "" {
		c.PasswordFlag, c.Password = true, []byte(r.password)
	}
	r.addWill(c)
	return c, nil
}

func (r *remote) addWill(c *paho.Connect) {
	if r.willTopic == "" {
		return
	}
	c.WillMessage = &paho.WillMessage{
		Topic:   r.willTopic,
		Payload: []byte(r.willPayload),
		QoS:     byte(r.willQoS),
		Retain:  r.willRetain,
	}
	c.WillProperties = &r.properties.will
}

// sessionExpiry returns the seconds of -x; a persistent session has no end
// unless -x gives it one.
func (r *remote) sessionExpiry() (*uint32, error) {
	forever := uint32(math.MaxUint32)
	switch r.expiry {
	case "":
		if r.persistent {
			return &forever, nil
		}
		return nil, nil
	case "-1", "∞":
		return &forever, nil
	}
	n, err := strconv.ParseUint(r.expiry, 10, 32)
	if err != nil {
		return nil, usageError{fmt.Errorf("-x %s: must be seconds from 0 to 4294967294, or -1 for ever", r.expiry)}
	}
	seconds := uint32(n)
	return &seconds, nil
}

// notAccepted explains why there was no successful CONNACK.
func (r *remote) notAccepted(ctx context.Context, ack *paho.Connack, err error) error {
	where := "connect to " + r.scheme + "://" + r.address
	switch {
	case ack != nil:
		reason := ""
		if ack.Properties != nil {
			reason = ack.Properties.ReasonString
		}
		return refused(where, ack.ReasonCode, reason)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", where, context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded):
		return coded(exitUnreachable, fmt.Errorf("%s: no answer within %s", where, r.timeout))
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		return coded(exitUnreachable, fmt.Errorf("%s: the other side closed the connection; is it an MQTT 5 broker, and is TLS used on both sides or on none?", where))
	}
	return coded(exitUnreachable, fmt.Errorf("%s: not answered in MQTT 5: %w", where, err))
}

// refused turns a reason code of 0x80 or more into an error (MQTT 5.0, section
// 2.4).
func refused(doing string, code byte, reason string) error {
	text, ok := reasons[code]
	if !ok {
		text = "refused"
	}
	if reason != "" && !strings.EqualFold(reason, text) {
		text += ": " + reason
	}
	err := fmt.Errorf("%s: %s (reason 0x%02X)", doing, text, code)
	switch code {
	case 0x86, 0x87, 0x8A, 0x8C:
		return coded(exitRefused, err)
	case 0x88, 0x89, 0x8B, 0x9C, 0x9D, 0x9F:
		return coded(exitUnreachable, err)
	}
	return err
}

// reasons has the codes that a client can meet (MQTT 5.0, section 2.4).
var reasons = map[byte]string{
	0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error",
	0x83: "the broker does not accept it", 0x84: "protocol version not supported",
	0x85: "client id not valid", 0x86: "bad user name or password; give -u and a password",
	0x87: "not authorized; the broker's access control does not allow it", 0x88: "server unavailable",
	0x89: "server busy", 0x8A: "banned", 0x8B: "server shutting down", 0x8C: "bad authentication method",
	0x8D: "keep alive timed out", 0x8E: "another client took over the client id",
	0x8F: "topic filter not valid", 0x90: "topic name not valid", 0x93: "receive maximum exceeded",
	0x94: "topic alias not valid", 0x95: "packet too large", 0x96: "message rate too high",
	0x97: "quota exceeded", 0x98: "ended by an administrator", 0x99: "payload format not valid",
	0x9A: "retain not supported", 0x9B: "QoS not supported", 0x9C: "use another server",
	0x9D: "server moved", 0x9E: "shared subscriptions not supported", 0x9F: "connection rate exceeded",
	0xA1: "subscription identifiers not supported", 0xA2: "wildcard subscriptions not supported",
}

func disconnected(d *paho.Disconnect) error {
	reason := ""
	if d.Properties != nil {
		reason = d.Properties.ReasonString
	}
	return refused("disconnected by the broker", d.ReasonCode, reason)
}

func isRefusal(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

// findPassword looks where a password can be without being seen by others. It
// asks for it only if somebody sits there and stdin is free.
func (a *app) findPassword(r *remote, stdinIsFree bool) error {
	switch {
	case r.password != "":
		return nil
	case r.passFile != "":
		b, err := os.ReadFile(r.passFile)
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		r.password, _, _ = strings.Cut(string(b), "\n")
		r.password = strings.TrimSuffix(r.password, "\r")
		return nil
	case os.Getenv("EDGE_PASSWORD") != "":
		r.password = os.Getenv("EDGE_PASSWORD")
		return nil
	case r.user == "" || !stdinIsFree || !isTerminal(a.in) || !isTerminal(a.err):
		return nil
	}
	fmt.Fprintf(a.err, "Password of %s: ", r.user)
	b, err := term.ReadPassword(int(a.in.(*os.File).Fd()))
	fmt.Fprintln(a.err)
	r.password = string(b)
	return err
}

// note says on stderr what happens, for -d.
func (a *app) note(r *remote, format string, args ...any) {
	if r.debug && !r.quiet {
		fmt.Fprintf(a.err, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
	}
}
