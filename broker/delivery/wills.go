package delivery

import "errors"

// ErrTooManyWills is returned by Begin when the wills of all sessions take what they
// may.
var ErrTooManyWills = errors.New("the wills of all clients take as much memory as they may")

// admitWill counts a new will, unless there is no room for it. Those that were sent
// or taken back count until weighWills looks, within a second.
func (e *Engine) admitWill(w *Will) error {
	if w == nil || e.opts.WillBytes == 0 {
		return nil
	}
	size := int64(w.Message.size())
	if e.willBytes.Add(size) <= int64(e.opts.WillBytes) {
		return nil
	}
	e.willBytes.Add(-size)
	return ErrTooManyWills
}

// weighWills adds up the wills that there are.
func (e *Engine) weighWills(sessions []*Session) {
	var sum int64
	for _, s := range sessions {
		s.mu.Lock()
		if s.will != nil {
			sum += int64(s.will.Message.size())
		}
		s.mu.Unlock()
	}
	e.willBytes.Store(sum)
}
