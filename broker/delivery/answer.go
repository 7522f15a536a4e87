package delivery

// Answers reports whether an acknowledgement fits the message with packet id: it
// is for qos, and last, which ends the flow of QoS 2, does not come before
// PUBREC. One for an id that is not on its way fits: what it belonged to may have
// ended meanwhile.
func (s *Session) Answers(id uint16, qos byte, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, it := s.flight(id)
	return it == nil || it.qos == qos && (!last || it.flags&released != 0)
}
