package delivery

// Answer queues m for s alone, whatever it has subscribed to, if it has a
// connection. m is of QoS 0: it is for who is there now, and is kept nowhere.
func (s *Session) Answer(m *Message) {
	if link, _ := s.push(&item{m: m}); link != nil {
		link.Wake()
	}
}
