package gpio

import (
	"context"
	"encoding/json"
	"fmt"

	"edge/bridge"
)

// meters returns the meters of all counters by the ids of their totals, with what
// was saved of them.
func (b *Bridge) meters(ctx context.Context, c bridge.Client, post *post) (map[string]*meter, error) {
	meters := make(map[string]*meter)
	var saved map[string][]byte
	for _, p := range b.cfg.Pins {
		if p.Counter == nil {
			continue
		}
		if saved == nil {
			var err error
			if saved, err = bridge.Recall(ctx, c, b.device()); err != nil {
				return nil, err
			}
		}
		r, err := parseReading(saved[p.totalID()])
		m := newMeter(p, post, r)
		if err != nil {
			b.log.Error("the total of a counter cannot be read; set it", "pin", p.ID, "err", err)
			m.unknown = fmt.Sprintf("what was saved cannot be read, so nothing is counted; set the total to what the meter says: %v", err)
		}
		meters[p.totalID()] = m
	}
	return meters, nil
}

// parseReading reads what was saved; nothing is zero.
func parseReading(payload []byte) (r reading, err error) {
	if len(payload) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(payload, &r); err != nil {
		return reading{}, err
	}
	if r.Pulses > maxPulses || r.PerUnit < 1/maxPerUnit || r.PerUnit > maxPerUnit {
		return reading{}, fmt.Errorf("%d pulses, of which %g are a unit, are no total", r.Pulses, r.PerUnit)
	}
	return r, nil
}
