package login

import "sync"

// Owners says whose a client id is: of the principal that used it first, until
// the session ends. Nobody else takes over a session by knowing its name. It has
// as many entries as there are sessions, which are bounded elsewhere. The zero
// value is ready for use.
type Owners struct {
	mu sync.Mutex
	of map[string]string // client ids to principals
}

// Claim makes the client id the principal's and reports whether it is now. If it
// is not, the id belongs to somebody else, who is not told of it.
func (o *Owners) Claim(client, principal string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if owner, ok := o.of[client]; ok {
		return owner == principal
	}
	if o.of == nil {
		o.of = map[string]string{}
	}
	o.of[client] = principal
	return true
}

// Owner returns the principal that has the client id.
func (o *Owners) Owner(client string) (principal string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	principal, ok = o.of[client]
	return principal, ok
}

// Release ends the ownership, with the session.
func (o *Owners) Release(client string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.of, client)
}
