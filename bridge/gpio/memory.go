package gpio

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"time"

	"edge/bridge"
)

// A memory is what an output was, as it is saved for the next start.
type memory struct {
	On    bool      `json:"on"`
	Until time.Time `json:"until,omitzero"` // of a timed command
	At    time.Time `json:"at"`             // when this was written
	Boot  string    `json:"boot"`           // of the kernel, so that a restart is told from a power cut
	Lock  *lockout  `json:"lock,omitempty"`
}

// bootID names the run of the kernel; empty where it is not known.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// begin returns what an output is from the first moment on. A timed command goes
// on for what is left of it; without a clock that can be trusted it is over.
func (p Pin) begin(m memory, boot string, now time.Time) pulse {
	if p.Lease.Commander && p.Lease.Time == 0 {
		return p.rest() // Nobody has commanded it.
	}
	policy := p.Initial
	if p.Warm != "" && m.Boot != "" && m.Boot == boot {
		policy = p.Warm
	}
	switch {
	case policy == On:
		return pulse{on: true}
	case policy == Hardware:
		return pulse{cause: causeFound}
	case !policy.remembers() || m.At.IsZero():
		return pulse{}
	}
	last := pulse{on: m.On, until: m.Until, cause: causeTimer}
	if !m.Until.IsZero() && (now.Before(m.At) || !now.Before(m.Until)) {
		last = pulse{on: !m.On}
	}
	if policy == InvertedLast {
		return pulse{on: !last.on}
	}
	return last
}

// recall says how outputs begin, by their ids, and who has locked them.
func (b *Bridge) recall(ctx context.Context, c bridge.Client) (map[string]pulse, map[string]*lockout, error) {
	begin, locked := make(map[string]pulse), make(map[string]*lockout)
	saved, err := bridge.Recall(ctx, c, b.device())
	if err != nil {
		return nil, nil, err
	}
	for _, p := range b.cfg.Pins {
		var m memory
		if len(saved[p.ID]) > 0 {
			if err := json.Unmarshal(saved[p.ID], &m); err != nil {
				b.log.Warn("what was saved of an output cannot be read; it begins as without it", "pin", p.ID, "err", err)
			}
		}
		begin[p.ID], locked[p.ID] = p.begin(m, b.boot, time.Now()), m.Lock
	}
	for _, i := range b.cfg.locks() {
		i.calm(begin)
	}
	return begin, locked, nil
}

// calm has outputs that exclude each other begin off if more than one was on, as
// before they did, and none go on by itself.
func (i Interlock) calm(begin map[string]pulse) {
	on := 0
	for _, id := range i.Pins {
		if begin[id].on {
			on++
		}
	}
	for _, id := range i.Pins {
		if on > 1 || !begin[id].on {
			begin[id] = pulse{}
		}
	}
}

// save keeps what the output is for the next start, if that matters. What it is
// made at the end does not.
func (o *output) save(cause string) {
	if !o.Initial.remembers() && o.Warm == "" && o.load.lockout == o.kept || cause == causeExit {
		return
	}
	o.kept = o.load.lockout
	m := memory{On: o.load.to.on, At: time.Now(), Boot: o.boot, Lock: o.kept}
	if o.load.to.cause == causeTimer {
		m.Until = o.load.to.until
	}
	o.post.save(o.ID, m)
}
