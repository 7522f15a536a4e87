package guard

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A guard hangs if it has not answered for so long and for so many beats. Beats are
// counted, not time: a process that was stopped has sent none.
const (
	hangTime  = 2 * time.Second
	hangBeats = 12
)

// errNoAnswer means that the guard is there and does not answer.
var errNoAnswer = errors.New("the guard does not answer")

// A link is a client's connection to a guard.
type link struct {
	wire
	zero   time.Time // of the times below
	guard  frame     // its welcome
	proven atomic.Int64
	broken chan struct{} // closed when nothing more can be read
	over   bool          // the guard has taken over; after broken
	before bool          // it had taken over before

	mu      sync.Mutex
	seq     uint64
	acked   uint64
	sent    map[uint64]time.Duration // when all owners were alive, by beats without an answer
	answers map[uint64]chan reply
}

// A reply is an answer of the guard.
type reply struct {
	frame
	file *os.File
}

// connect shakes hands over w. zero is that of all times of the client.
func connect(w wire, zero time.Time) (*link, error) {
	l := &link{
		wire: w, zero: zero, broken: make(chan struct{}),
		sent: make(map[uint64]time.Duration), answers: make(map[uint64]chan reply),
	}
	welcome := make(chan frame, 1)
	go l.listen(welcome)
	err := l.shake(welcome)
	if err != nil {
		l.Close()
		<-l.broken
		return nil, err
	}
	return l, nil
}

func (l *link) shake(welcome <-chan frame) error {
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case l.guard = <-welcome:
	case <-l.broken:
		return errNoAnswer
	case <-timer.C:
		return errNoAnswer
	}
	if l.guard.Version != version {
		return fmt.Errorf("the guard speaks version %d, not %d; restart it", l.guard.Version, version)
	}
	begun := time.Since(l.zero)
	r, err := l.ask(frame{Op: opHello, Version: version, Clock: begun}, nil)
	if err != nil {
		return err
	}
	l.before = r.Held
	l.prove(begun)
	return nil
}

// prove notes that the guard knows that all was well at a time.
func (l *link) prove(at time.Duration) {
	for {
		old := l.proven.Load()
		if int64(at) <= old || l.proven.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// fresh reports whether the guard cannot have given up on this process yet: it has
// heard later than we have proven, and waits for as long from then on.
func (l *link) fresh() bool {
	return time.Since(l.zero)-time.Duration(l.proven.Load()) < l.guard.Patience
}

// listen reads until the connection ends.
func (l *link) listen(welcome chan<- frame) {
	defer close(l.broken)
	for {
		f, file, err := l.read()
		if err != nil {
			return
		}
		switch f.Op {
		case opAnswer:
			l.answered(reply{f, file})
			continue
		case opAck:
			l.acknowledged(f.Seq)
		case opWelcome:
			select {
			case welcome <- f:
			default:
			}
		case opTakenOver:
			l.over = true
		}
		if file != nil {
			file.Close()
		}
	}
}

func (l *link) answered(r reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if answer := l.answers[r.Seq]; answer != nil {
		delete(l.answers, r.Seq)
		answer <- r
	} else if r.file != nil {
		r.file.Close()
	}
}

func (l *link) acknowledged(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.sent[seq]
	if !ok {
		return
	}
	l.prove(at)
	l.acked = max(l.acked, seq)
	for old := range l.sent {
		if old <= seq {
			delete(l.sent, old)
		}
	}
}

// beat tells the guard that all owners were alive at a time. Without an answer to
// many of those before, the guard hangs.
func (l *link) beat(at time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sent) >= max(hangBeats, int(hangTime/pace(l.guard.Patience))) {
		return errNoAnswer
	}
	l.seq++
	l.sent[l.seq] = at
	now := time.Since(l.zero)
	return l.write(frame{Op: opBeat, Seq: l.seq, Clock: now, Age: max(0, now-at)}, nil)
}

// ask puts a question and waits for the answer, which is an error if it says so.
func (l *link) ask(f frame, lines syscall.Conn) (reply, error) {
	answer := make(chan reply, 1)
	l.mu.Lock()
	l.seq++
	f.Seq = l.seq
	l.answers[f.Seq] = answer
	err := l.write(f, lines)
	l.mu.Unlock()
	defer l.forget(f.Seq, answer)
	if err != nil {
		return reply{}, fmt.Errorf("ask the guard to %s: %w", f.Op, err)
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case r := <-answer:
		return r, r.problem(f.Op)
	case <-l.broken:
	case <-timer.C:
	}
	return reply{}, fmt.Errorf("ask the guard to %s: %w", f.Op, errNoAnswer)
}

// forget ends the wait for an answer. One that has come all the same is thrown away.
func (l *link) forget(seq uint64, answer <-chan reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.answers, seq)
	select {
	case r := <-answer:
		if r.file != nil {
			r.file.Close()
		}
	default:
	}
}

// A refusal is what the guard said.
type refusal struct {
	op   op
	text string
}

func (e refusal) Error() string { return fmt.Sprintf("the guard refuses to %s: %s", e.op, e.text) }

func (r reply) problem(asked op) error {
	if r.Error == "" {
		return nil
	}
	if r.file != nil {
		r.file.Close()
	}
	return refusal{asked, r.Error}
}

// isBroken reports whether nothing more can be read.
func (l *link) isBroken() bool {
	select {
	case <-l.broken:
		return true
	default:
		return false
	}
}

// say sends what is not answered.
func (l *link) say(f frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write(f, nil)
}
