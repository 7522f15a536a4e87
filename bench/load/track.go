package load

// A track follows the messages of one publisher at one subscriber.
type track struct {
	sparse bool // the subscriber gets only some of the messages: gaps are no loss
	next   uint32
	gaps   int64 // messages that were jumped over
	late   int64 // messages that came after a later one, or twice
}

// see notes that the message with the sequence number seq came.
func (t *track) see(seq uint32) {
	switch {
	case seq < t.next:
		t.late++
		return
	case !t.sparse:
		t.gaps += int64(seq - t.next)
	}
	t.next = seq + 1
}

// missing returns how many of sent messages never came, as far as gaps tell. A
// subscriber to whom nothing came is taken for one that asked for nothing.
func (t *track) missing(sent uint32) int64 {
	if t.sparse || t.next == 0 {
		return 0
	}
	return max(0, t.gaps+int64(sent-t.next)-t.late)
}
