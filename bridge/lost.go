package bridge

import "context"

// Lost is an error of Run for a device that can be seen to come back, such as a
// stick that is plugged in again. Supervise then waits no longer than it must.
type Lost struct {
	Err error

	// Back returns nil when what was lost was taken away and is there again: not
	// when it was there all the time, for it would be tried again and again. It
	// returns an error when ctx ends, or if that cannot be seen.
	Back func(ctx context.Context) error
}

func (l *Lost) Error() string { return l.Err.Error() }
func (l *Lost) Unwrap() error { return l.Err }
