package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// The statuses of a Result.
const (
	StatusOK      = "ok"      // it was done, and the hardware confirms it
	StatusRefused = "refused" // it was not tried; Reason says why
	StatusError   = "error"   // it was tried and went wrong; Reason says how
)

// A Result is the answer to a Command.
type Result struct {
	ID      string        // of the command
	Status  string        // StatusOK, StatusRefused or StatusError
	Reason  string        // for people; with ok only if there is something to add
	Value   string        // read back after the command
	Latency time.Duration // from the command to the hardware's confirmation
}

type resultJSON struct {
	ID        string  `json:"id,omitempty"`
	Status    string  `json:"status"`
	Reason    string  `json:"reason,omitempty"`
	Value     string  `json:"value,omitempty"`
	LatencyMS float64 `json:"latency_ms,omitempty"`
}

// MarshalJSON writes the latency as latency_ms, in milliseconds to three decimals.
func (r Result) MarshalJSON() ([]byte, error) {
	us := r.Latency.Round(time.Microsecond).Microseconds()
	return json.Marshal(resultJSON{r.ID, r.Status, r.Reason, r.Value, float64(us) / 1000})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Result) UnmarshalJSON(b []byte) error {
	var j resultJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	us := time.Duration(math.Round(j.LatencyMS * 1000))
	*r = Result{j.ID, j.Status, j.Reason, j.Value, us * time.Microsecond}
	return nil
}

// PublishResult answers a command to entity on …/result. It is not retained.
func PublishResult(ctx context.Context, c Client, base Base, entity string, r Result) error {
	switch r.Status {
	case StatusOK, StatusRefused, StatusError:
	default:
		return fmt.Errorf("publish %s: unknown status %q; want ok, refused or error", base.Result(entity), r.Status)
	}
	return publishJSON(ctx, c, Message{Topic: base.Result(entity)}, r)
}
