package serial

import "time"

// A polled request is one with its time.
type polled struct {
	Request
	next   time.Time
	silent bool // it was not answered the last time
	tally
}

// A tally counts exchanges.
type tally struct {
	sent, retried, unanswered uint64
}

// A poller says which request is made when. It does no I/O and asks no clock.
type poller struct{ requests []polled }

func newPoller(requests []Request, now time.Time) *poller {
	p := new(poller)
	for _, r := range requests {
		p.requests = append(p.requests, polled{Request: r, next: now})
	}
	return p
}

// due returns the request that is to be made next, and when; nil if there is
// none. Of several that are late, the one that waits longest comes first.
func (p *poller) due() (r *polled, at time.Time) {
	for i := range p.requests {
		if q := &p.requests[i]; r == nil || q.next.Before(r.next) {
			r = q
		}
	}
	if r == nil {
		return nil, time.Time{}
	}
	return r, r.next
}

// made notes that r was made, answered or not. It is made again when its time
// comes; times that have passed meanwhile are left out.
func (r *polled) made(answered bool, now time.Time) {
	r.silent = !answered
	if r.next = r.next.Add(r.Every); r.next.Before(now) {
		r.next = now
	}
}

// tries returns how often r may be sent: once, as long as there is no answer.
func (r *polled) tries() int {
	if r.silent {
		return 1
	}
	return 1 + r.Retries
}

// find returns the request with an id, or nil.
func (p *poller) find(id string) *polled {
	for i := range p.requests {
		if p.requests[i].ID == id {
			return &p.requests[i]
		}
	}
	return nil
}
