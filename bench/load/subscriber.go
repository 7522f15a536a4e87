package load

import (
	"fmt"
	"time"

	"edge/bench/wire"
)

// A subscriber receives the messages of one connection, checks their order, and
// completes the handshakes of QoS 1 and 2, one write for each read. It is one
// goroutine.
type subscriber struct {
	conn   *Conn
	index  int
	fleet  *Fleet
	tracks []track // of each publisher
	counts []int   // messages of each publisher within a batch
	out    []byte
	took   int             // messages of a batch
	delays []time.Duration // of each message, when the specification wants them
}

func newSubscriber(conn *Conn, fleet *Fleet, index int) *subscriber {
	n := len(fleet.spec.Topics)
	s := &subscriber{conn: conn, index: index, fleet: fleet, tracks: make([]track, n), counts: make([]int, n)}
	for i := range s.tracks {
		s.tracks[i].sparse = fleet.spec.Sparse
	}
	return s
}

// run receives until the connection ends.
func (s *subscriber) run() error {
	for {
		if err := s.conn.Batch(s.handle); err != nil {
			return fmt.Errorf("subscriber %d: read: %w", s.index, err)
		}
		if len(s.out) > 0 {
			_, err := s.conn.Write(s.out)
			s.out = s.out[:0]
			if err != nil {
				return fmt.Errorf("subscriber %d: acknowledge: %w", s.index, err)
			}
		}
		s.fleet.pause(s.took)
		s.account()
	}
}

func (s *subscriber) handle(k wire.Packet) error {
	switch k.Type {
	case wire.Publish:
		return s.message(k)
	case wire.Pubrel:
		id, err := k.ID()
		if err != nil {
			return err
		}
		s.out = wire.AppendAck(s.out, wire.Pubcomp, id)
		return nil
	default:
		return fmt.Errorf("unexpected packet type %d", k.Type)
	}
}

func (s *subscriber) message(k wire.Packet) error {
	m, err := k.Message()
	if err != nil {
		return err
	}
	is, err := parseMark(m.Payload)
	if err != nil {
		return err
	}
	if int(is.publisher) >= len(s.tracks) {
		return fmt.Errorf("message of publisher %d, which does not exist", is.publisher)
	}
	if want := s.fleet.spec.QoS; m.QoS != want {
		return fmt.Errorf("message with QoS %d, want %d", m.QoS, want)
	}
	switch m.QoS {
	case 1:
		s.out = wire.AppendAck(s.out, wire.Puback, m.ID)
	case 2:
		s.out = wire.AppendAck(s.out, wire.Pubrec, m.ID)
	}
	s.tracks[is.publisher].see(is.seq)
	s.counts[is.publisher]++
	s.took++
	if s.fleet.spec.Every > 0 {
		s.delays = append(s.delays, time.Since(epoch)-is.sent)
	}
	return nil
}

// account gives the publishers their room back, once a batch.
func (s *subscriber) account() {
	if s.took == 0 {
		return
	}
	s.fleet.delivered.Add(int64(s.took))
	s.took = 0
	for i, n := range s.counts {
		if n > 0 {
			s.fleet.publishers[i].flow.arrived(n)
			s.counts[i] = 0
		}
	}
}
