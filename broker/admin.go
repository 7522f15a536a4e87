package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"edge/broker/access"
	"edge/broker/delivery"
	"edge/broker/gate"
	"edge/broker/journal"
	"edge/broker/login"
)

// A Request is what a client asks the hub to do, as JSON in a message to
// gate.RequestTopic. docs/admin.md lists the commands and what each of them needs.
type Request struct {
	Command  string       `json:"command"`
	ID       string       `json:"id"` // comes back in the answer
	User     string       `json:"user"`
	Password login.Secret `json:"password"`
	Generate bool         `json:"generate"` // a password that nobody can guess
	Roles    []string     `json:"roles"`
	Client   string       `json:"client"`
	Action   string       `json:"action"`
	Topic    string       `json:"topic"`
	Code     login.Secret `json:"code"`

	Who  string `json:"-"` // who asks: the name of a principal; empty for who comes with a code
	From string `json:"-"` // the address that he asks from
}

// An Admin does what clients ask for. Its methods may be called from several
// goroutines at once.
type Admin interface {
	// Administer does what r asks and returns what the answer shows of it. An
	// error is a sentence for who has asked. ctx ends when the broker is closed.
	Administer(ctx context.Context, r *Request) (any, error)
}

// An answer is the payload of a response.
type answer struct {
	Command string `json:"command,omitempty"`
	ID      string `json:"id,omitempty"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
	Result  any    `json:"result,omitempty"`
}

const (
	// responseTopic is where the answer goes if the request does not say.
	responseTopic = gate.RequestTopic + "/response"

	// pairCommand may be asked for by anybody: it comes with a code.
	pairCommand = "pair"

	// adminTime bounds one request.
	adminTime = 30 * time.Second

	// maxRequest is the most bytes of a request.
	maxRequest = 16 << 10

	maxRequestID = 128 // bytes
)

// Why a request is not looked at.
var (
	errRetained = errors.New("a request must not be retained: it is done once, and now")
	errAgain    = errors.New("this request was sent before, and the connection was lost; it may have been done: look, and then send it anew")
	errTooLarge = fmt.Errorf("a request has at most %d bytes", maxRequest)
	errTooFast  = fmt.Errorf("too many requests: at most %d at once, and then one each %v", requestBurst, requestPause)
	errNotAdmin = errors.New("only who has logged in, and may publish to " + gate.RequestTopic + ", may ask for that; the role admin may")
	errNoAdmin  = errors.New("this broker is not administered by MQTT")
)

// Request implements gate.Control. The answer is for the connection that has asked,
// and for no other.
func (k *control) Request(m *delivery.Message, again bool) delivery.Verdict {
	var r Request
	result, err := k.administer(&r, m, again)
	a := answer{Command: r.Command, ID: r.ID, OK: err == nil, Result: result}
	if err != nil {
		a.Error = err.Error()
	}
	k.respond(m, &a)
	switch {
	case errors.Is(err, errNotAdmin):
		return delivery.Denied
	case errors.Is(err, errRetained), errors.Is(err, errAgain):
		return delivery.Refused
	}
	return delivery.Accepted
}

// administer reads the request in m, and does it.
func (k *control) administer(r *Request, m *delivery.Message, again bool) (any, error) {
	switch {
	case !k.mayGoOn():
		return nil, errTooFast
	case m.Retain:
		return nil, errRetained
	case again:
		return nil, errAgain
	case len(m.Payload) > maxRequest:
		return nil, errTooLarge
	}
	if err := r.decode(m.Payload); err != nil {
		return nil, err
	}
	if err := k.identifyFor(r); err != nil {
		return nil, err
	}
	if k.b.admin == nil {
		return nil, errNoAdmin
	}
	ctx, cancel := k.b.context(adminTime)
	defer cancel()
	return k.b.admin.Administer(ctx, r)
}

// mayGoOn reports whether it is time for a request.
func (k *control) mayGoOn() bool {
	if k.requests == nil {
		k.requests = new(pace)
	}
	return k.requests.take(time.Now())
}

// identifyFor says in r who asks, or why he may not. Somebody without a name never
// may, whatever else he may do: nobody could be made answer for it.
func (k *control) identifyFor(r *Request) error {
	owner := k.conn.Session().Owner()
	r.From = k.socket.RemoteAddr().String()
	if k.socket.uid() >= 0 {
		r.From = "unix"
	}
	if owner != "" && owner != pairingOwner {
		r.Who = owner
	}
	if r.Command == pairCommand {
		return nil
	}
	g, id := k.b.guard, k.conn.Connect().ClientID
	if r.Who == "" || !g.mayPublish(owner, id, gate.RequestTopic) {
		g.denials.note(identity{owner, id}, access.Publish, gate.RequestTopic)
		return errNotAdmin
	}
	return nil
}

// decode reads a request. What is wrong is said without what the request says: it
// may be a password.
func (r *Request) decode(payload []byte) error {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	err := d.Decode(r)
	if _, end := d.Token(); err == nil && !errors.Is(end, io.EOF) {
		err = errors.New("there is more behind it")
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = fmt.Errorf("%q is not of the right type", wrong.Field)
	}
	if err == nil && len(r.ID) > maxRequestID {
		err = fmt.Errorf("the id has more than %d bytes", maxRequestID)
	}
	if err != nil {
		*r = Request{}
		return fmt.Errorf(`a request is JSON like {"command":"user list"}: %w`, err)
	}
	return nil
}

// respond sends a to who has asked by m.
func (k *control) respond(m *delivery.Message, a *answer) {
	payload, err := json.Marshal(a)
	if err != nil {
		k.b.log.Error("answer a request", "command", a.Command, "err", err)
		return
	}
	to := journal.Message{Topic: responseTopic, Payload: payload, Origin: "broker"}
	if p := m.Props; p != nil {
		to.Props = &journal.Properties{CorrelationData: bytes.Clone(p.CorrelationData)}
		if p.ResponseTopic != "" {
			to.Topic = p.ResponseTopic
		}
	}
	k.conn.Session().Answer(&delivery.Message{Message: to})
}

// context returns a context that ends with the broker, or after d.
func (b *Broker) context(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	go func() {
		select {
		case <-b.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

const (
	requestBurst = 20
	requestPause = 200 * time.Millisecond
)

// A pace is when one connection may ask for something next. The zero value is one
// that has not yet.
type pace struct{ next time.Time }

// take reports whether it is time for a request, and counts it.
func (p *pace) take(now time.Time) bool {
	next := p.next
	if next.Before(now) {
		next = now
	}
	if next.Sub(now) > (requestBurst-1)*requestPause {
		return false
	}
	p.next = next.Add(requestPause)
	return true
}
