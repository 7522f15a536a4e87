package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edge/bench/wire"
)

// Away makes sessions that outlive their connections, each subscribed to one of
// filters at QoS 1, and leaves them: away0, away1 and so on.
func Away(ctx context.Context, addr string, filters ...string) error {
	for i, filter := range filters {
		id := fmt.Sprint("away", i)
		c, err := lasting(id).Dial(ctx, addr)
		if err == nil {
			err = errors.Join(c.Subscribe(filter, 1), c.Close())
		}
		if err != nil {
			return fmt.Errorf("session %s: %w", id, err)
		}
	}
	return nil
}

// Return comes back to the session away0 and takes what has waited: want messages
// of so many publishers, or what has come when nothing did for the time quiet. It
// checks their order; publishers may have sent others to other sessions.
func Return(ctx context.Context, addr string, want int64, publishers int, quiet time.Duration) (Tally, error) {
	const id = "away0"
	conn, err := lasting(id).Dial(ctx, addr)
	if err != nil {
		return Tally{}, err
	}
	defer conn.Close()
	r := returned{tracks: make([]track, publishers)}
	for i := range r.tracks {
		r.tracks[i].sparse = true
	}
	if err := conn.takeAll(&r, int(want), quiet); err != nil {
		return r.tally(want), fmt.Errorf("receive what has waited: %w", err)
	}
	return r.tally(want), nil
}

// A returned is a subscriber who takes what has waited.
type returned struct {
	tracks []track
	got    int64
	out    []byte
}

func (r *returned) taken() int       { return int(r.got) }
func (r *returned) answers() *[]byte { return &r.out }

func (r *returned) handle(k wire.Packet) error {
	if k.Type != wire.Publish {
		return nil
	}
	m, err := k.Message()
	if err != nil {
		return err
	}
	is, err := parseMark(m.Payload)
	if err != nil {
		return err
	}
	if int(is.publisher) >= len(r.tracks) || m.QoS != 1 {
		return fmt.Errorf("message of publisher %d with QoS %d, want one of %d with 1", is.publisher, m.QoS, len(r.tracks))
	}
	r.out = wire.AppendAck(r.out, wire.Puback, m.ID)
	r.tracks[is.publisher].see(is.seq)
	r.got++
	return nil
}

func (r *returned) tally(want int64) Tally {
	t := Tally{Sent: want, Expected: want, Delivered: r.got, Lost: max(0, want-r.got)}
	for _, k := range r.tracks {
		t.Late += k.late
	}
	return t
}

// lasting is how a client comes whose session outlives its connection.
func lasting(clientID string) Login {
	return Login{Session: wire.Session{ClientID: clientID, Lasting: true}}
}
