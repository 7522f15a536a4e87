package serial

import (
	"errors"
	"fmt"

	"edge/internal/config"
	"edge/internal/frame"
)

// spec returns how frames are told apart. Without framing they are lines;
// delimiter and max_line hold for framing, too, where that is silent.
func (c *Config) spec() frame.Spec {
	spec := frame.Spec{Kind: frame.Delimiter}
	if c.Framing != nil {
		spec = *c.Framing
	}
	if spec.Kind == frame.Delimiter && spec.End == "" {
		spec.End = frame.Bytes(c.Delimiter)
	}
	if spec.Max == 0 {
		spec.Max = c.MaxLine
	}
	return spec
}

// checkFraming reports what is wrong with how frames are told apart.
func (c *Config) checkFraming() (errs []error) {
	if c.MaxLine < 1 || c.MaxLine > frame.MaxFrame {
		errs = append(errs, config.Errorf("max_line", "%d is not between 1 and %d", c.MaxLine, frame.MaxFrame))
	}
	if c.Delimiter == "" || len(c.Delimiter) > 8 {
		errs = append(errs, config.Errorf("delimiter", "must have 1 to 8 bytes, not %d", len(c.Delimiter)))
	}
	if c.CommandFraming && c.Framing == nil {
		errs = append(errs, config.Errorf("command_framing", "needs framing"))
	}
	if len(errs) > 0 || c.Framing == nil {
		return errs
	}
	return specErrors("framing.", c.spec().Validate())
}

// specErrors gives the mistakes that package frame has found their places.
func specErrors(at string, err error) (errs []error) {
	all, _ := err.(interface{ Unwrap() []error })
	if all == nil {
		return nil
	}
	for _, err := range all.Unwrap() {
		if field, ok := errors.AsType[*frame.FieldError](err); ok {
			errs = append(errs, config.Errorf(at+field.Field, "%w", field.Err))
		}
	}
	return errs
}

// builder returns what makes frames of commands and requests, or nil where these
// say all of a frame themselves.
func (c *Config) builder() *frame.Builder {
	if !c.CommandFraming || c.Framing == nil {
		return nil
	}
	return frame.NewBuilder(c.spec())
}

// failed counts frames that have failed since the last call, of which now tells.
func (b *book) failed(now frame.Stats) {
	before := b.frames
	if now == before {
		return
	}
	b.frames = now
	news := now.Bad() - before.Bad()
	b.lines += news
	b.bad += news
	switch {
	case now.BadChecksum > before.BadChecksum:
		b.lastBad = "a frame: its checksum is wrong"
	case now.Malformed > before.Malformed:
		b.lastBad = "a frame: it does not end as it should"
	case now.TooLong > before.TooLong:
		b.lastBad = fmt.Sprintf("a line: is longer than %d bytes", b.cfg.spec().Max)
	}
	if news > 0 || now.NoiseBytes > before.NoiseBytes {
		b.dirty()
	}
}

// dirty has the attributes of all entities published.
func (b *book) dirty() {
	for i := range b.entries {
		b.entries[i].dirty = true
	}
}

// countFrames adds what was counted of frames to counters; what has never happened is
// left out.
func countFrames(counters map[string]uint64, s frame.Stats) {
	for name, n := range map[string]uint64{
		"bad_checksum": s.BadChecksum, "too_long": s.TooLong, "malformed": s.Malformed, "noise_bytes": s.NoiseBytes,
	} {
		if n > 0 {
			counters[name] = n
		}
	}
}
