package login

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

// failureStep is the grid on which failures are answered. The failures of most
// users need the same work anyway; this hides that an imported hash may need
// other work, and that some failures need none.
const failureStep = 250 * time.Millisecond

// ErrWrong says that name and password do not go together: there is no such
// user, he is disabled, or the password is another. Which of these is not said.
var ErrWrong = errors.New("wrong user name or password")

// A LimitedError says that there were too many wrong guesses, and that the next may
// be looked at after Wait.
type LimitedError struct{ Wait time.Duration }

func (e *LimitedError) Error() string {
	return fmt.Sprintf("too many wrong passwords; the next may be tried in %v", e.Wait.Round(time.Second))
}

// An Attempt is a name and a password, and where they come from. The zero From is
// this machine, by a unix socket.
type Attempt struct {
	User     string
	Password Secret
	From     netip.Addr
}

// A Verifier checks passwords. There should be one in a process, which computes
// one slow hash at a time.
type Verifier struct {
	// Improved, if set before the first Check, is told of a user whose password
	// was hashed anew, because the hash was not one of DefaultCost. It should
	// put it into the users file in place of old, if that is still there.
	Improved func(name string, old, improved Hash)

	users  atomic.Pointer[Users]
	memory *Memory
	guard  *guard
	shown  *guard // what those who fail are shown; nobody is familiar with it
	turn   *turn
	cost   Cost
	decoy  Hash
	counts counts
}

// Stats counts what became of attempts.
type Stats struct {
	Passed   uint64 // the password was right
	Wrong    uint64
	Limited  uint64 // not looked at, because of wrong guesses before
	Busy     uint64 // not looked at, because too many were waiting or it took too long
	Hashed   uint64 // slow hashes computed
	Waiting  int64  // for their turn, now
	Overflow uint64 // times that counts of wrong guesses were forgotten for want of space
}

type counts struct{ passed, wrong, limited, busy, hashed atomic.Uint64 }

// NewVerifier returns a Verifier of users, which remembers in m.
func NewVerifier(users Users, m *Memory) *Verifier { return newVerifier(users, m, DefaultCost()) }

func newVerifier(users Users, m *Memory, c Cost) *Verifier {
	v := &Verifier{memory: m, guard: newGuard(), shown: newGuard(), turn: newTurn(), cost: c}
	v.decoy = Hash{scheme: argon2id, cost: c, salt: newSalt(), sum: make([]byte, sumSize)}
	v.users.Store(&users)
	return v
}

// Replace makes users those who can log in, at once. Who is connected is not
// touched: that is up to the caller.
func (v *Verifier) Replace(users Users) {
	old := *v.users.Swap(&users)
	for _, u := range users {
		before, ok := old.Find(u.Name)
		if !ok || before.Disabled != u.Disabled || before.Hash.Encode() != u.Hash.Encode() {
			v.guard.changed(u.Name)
			v.shown.changed(u.Name)
		}
	}
}

// Check returns the user whose password a has. Otherwise the error is ErrWrong,
// a *LimitedError, ErrBusy, or that of ctx; none of them, nor the time that it
// takes, depends on whether there is such a user.
func (v *Verifier) Check(ctx context.Context, a Attempt) (User, error) {
	start := time.Now()
	u, err := v.check(ctx, a)
	switch _, limited := errors.AsType[*LimitedError](err); {
	case err == nil:
		v.counts.passed.Add(1)
		return u, nil
	case limited:
		v.counts.limited.Add(1)
	case errors.Is(err, ErrWrong):
		v.counts.wrong.Add(1)
	default:
		v.counts.busy.Add(1)
		return User{}, err
	}
	err = v.show(a)
	if ended := untilStep(ctx, start); ended != nil {
		return User{}, ended
	}
	return User{}, err
}

// show returns what somebody who fails is told. A client whose password is right
// must not believe that it is wrong when it was not looked at. But whether it was
// depends on who is familiar there, and so on which users there are: a neighbour could find
// them out. So what is told is what would be true if nobody were.
func (v *Verifier) show(a Attempt) error {
	u, _ := v.users.Load().Find(a.User)
	from, m := Origin(a.From), v.mark(u, a)
	if v.shown.repeated(from, m) {
		return ErrWrong
	}
	if wait := v.shown.wait(from, a.User); wait > 0 {
		return &LimitedError{wait}
	}
	v.shown.failed(from, a.User, m)
	return ErrWrong
}

// untilStep waits for the next point of the grid.
func untilStep(ctx context.Context, start time.Time) error {
	select {
	case <-time.After(failureStep - time.Since(start)%failureStep):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (v *Verifier) check(ctx context.Context, a Attempt) (User, error) {
	u, _ := v.users.Load().Find(a.User)
	from := Origin(a.From)
	m := v.mark(u, a)
	if v.certain(u, a.Password) {
		v.guard.passed(from, a.User)
		return u, nil
	}
	if v.guard.repeated(from, m) {
		return User{}, ErrWrong
	}
	if wait := v.guard.wait(from, a.User); wait > 0 {
		return User{}, &LimitedError{wait}
	}
	if !u.Disabled && v.memory.has(u.Name, m) {
		v.guard.passed(from, a.User)
		return u, nil
	}
	return v.checkSlowly(ctx, a, u, m)
}

// mark stands for an attempt and what it is held against: when the user changes,
// an attempt that was wrong, or right, is another.
func (v *Verifier) mark(u User, a Attempt) mark {
	state := "on"
	if u.Disabled {
		state = "off"
	}
	return v.memory.mark(a.User, a.Password.Reveal(), state, u.Hash.Encode())
}

// certain reports whether the password is right and one that nobody can guess. No
// limit applies to it: not even who is being attacked from his own address is
// kept out.
func (v *Verifier) certain(u User, p Secret) bool {
	return u.Hash.Generated() && u.Hash.matches(p) && !u.Disabled
}

// checkSlowly computes the hash of u when its turn comes.
func (v *Verifier) checkSlowly(ctx context.Context, a Attempt, u User, m mark) (User, error) {
	from := Origin(a.From)
	if err := v.turn.take(ctx); err != nil {
		return User{}, err
	}
	defer v.turn.give()
	if wait := v.guard.wait(from, a.User); wait > 0 { // Others were wrong meanwhile.
		return User{}, &LimitedError{wait}
	}
	if !v.right(u, a.Password) || v.outdated(u) {
		v.guard.failed(from, a.User, m)
		return User{}, ErrWrong
	}
	v.remember(u, a)
	v.guard.passed(from, a.User)
	return u, nil
}

// right reports whether the password is that of u, after the work of one slow
// hash, whatever u's is, and if there is no u.
func (v *Verifier) right(u User, p Secret) bool {
	v.counts.hashed.Add(1)
	ok := v.turn.matches(u.Hash, p) && !u.Disabled
	if u.Hash.scheme != argon2id && !ok {
		v.turn.matches(v.decoy, p)
	}
	return ok
}

// outdated reports whether u is no longer what Replace has set.
func (v *Verifier) outdated(u User) bool {
	now, _ := v.users.Load().Find(u.Name)
	return now.Disabled || now.Hash.Encode() != u.Hash.Encode()
}

// remember saves the next login of u the slow hash.
func (v *Verifier) remember(u User, a Attempt) {
	if u.Hash.weak(v.cost) && v.Improved != nil {
		improved := v.turn.hash(a.Password, v.cost)
		v.Improved(u.Name, u.Hash, improved)
		u.Hash = improved
	}
	v.memory.add(u.Name, v.mark(u, a))
}

// Stats returns the counts.
func (v *Verifier) Stats() Stats {
	return Stats{
		Passed:   v.counts.passed.Load(),
		Wrong:    v.counts.wrong.Load(),
		Limited:  v.counts.limited.Load(),
		Busy:     v.counts.busy.Load(),
		Hashed:   v.counts.hashed.Load(),
		Waiting:  v.turn.waiting.Load(),
		Overflow: v.guard.forgotten(),
	}
}
