package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"edge/broker/gate"
	"edge/broker/login"
)

// redeem sends the code to a hub, with a user and his password.
func (p *pairer) redeem(ctx context.Context) error {
	if err := login.CheckName(p.who); err != nil {
		return usageError{fmt.Errorf("--user: %w", err)}
	}
	if err := p.resolve(); err != nil {
		return err
	}
	secret, err := p.readPassword(p.newPassword, p.who)
	if err == nil {
		err = login.CheckPassword(secret)
	}
	if err != nil {
		return err
	}
	request, err := json.Marshal(map[string]string{
		"command": "pair", "code": p.code, "user": p.who, "password": secret.Reveal(),
	})
	if err != nil {
		return err
	}
	if err := p.request(ctx, request); err != nil {
		return err
	}
	if p.json {
		return json.NewEncoder(p.out).Encode(pairingState{State: pairDone, User: p.who})
	}
	_, err = fmt.Fprintf(p.out, "paired: %s is an admin of the hub at %s\n", p.who, p.address)
	return err
}

// An outcome is what an answer says of a request.
type outcome struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

// request asks the hub to do something, and waits for the answer.
func (r *remote) request(ctx context.Context, payload []byte) error {
	mark, answers := rand.Text(), make(chan []byte, 1)
	l, err := r.connect(ctx, nil, func(_ *paho.Client, m *paho.Publish) {
		if m.Properties != nil && string(m.Properties.CorrelationData) == mark {
			answers <- m.Payload
		}
	})
	if err != nil {
		return notPairing(err)
	}
	defer l.bye() //nolint:errcheck // the answer is here, or another error is on its way
	m := &paho.Publish{Topic: gate.RequestTopic, QoS: 1, Payload: payload, Properties: &paho.PublishProperties{CorrelationData: []byte(mark)}}
	sent := make(chan error, 1)
	go func() {
		_, err := l.Publish(ctx, m)
		sent <- err
	}()
	late := time.NewTimer(r.timeout)
	defer late.Stop()
	for {
		select {
		case text := <-answers:
			return judge(text)
		case err := <-sent:
			if err != nil {
				return coded(exitFailed, fmt.Errorf("send the code: %w", err))
			}
		case err := <-l.lost:
			return coded(exitUnreachable, err)
		case <-late.C:
			return coded(exitTimedOut, fmt.Errorf("the hub has not answered within %s; is it an edge?", r.timeout))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// notPairing explains why a hub does not let somebody in who has a code.
func notPairing(err error) error {
	if e, ok := errors.AsType[codedError](err); ok && e.code == exitRefused {
		return coded(exitRefused, fmt.Errorf("%w; a hub lets somebody in without credentials to pair only while edge pair waits there", err))
	}
	return err
}

func judge(answer []byte) error {
	var o outcome
	if err := json.Unmarshal(answer, &o); err != nil {
		return fmt.Errorf("read the answer of the hub: %w", err)
	}
	if !o.OK {
		return coded(exitRefused, errors.New(o.Error))
	}
	return nil
}
