package guard

import (
	"errors"
	"syscall"

	"edge/internal/gpiochip"
)

// Opener returns an opener of chips whose outputs are guarded.
func (c *Client) Opener(open func(label string) (gpiochip.Chip, error)) func(label string) (gpiochip.Chip, error) {
	return func(label string) (gpiochip.Chip, error) {
		inner, err := open(label)
		if err != nil {
			return nil, err
		}
		info, err := inner.Info()
		if err != nil {
			inner.Close()
			return nil, err
		}
		return &chip{inner, c, info}, nil
	}
}

// maxReach is how often a guard is reached for one question, if it hangs up.
const maxReach = 3

// A chip passes the files of what is requested on to the guard, and asks it first.
type chip struct {
	gpiochip.Chip
	client *Client
	info   gpiochip.ChipInfo
}

var _ gpiochip.Chip = (*chip)(nil)

// LineInfo implements gpiochip.Chip. A line that the guard alone holds is free: it is
// held for us.
func (c *chip) LineInfo(offset uint32) (gpiochip.LineInfo, error) {
	info, err := c.Chip.LineInfo(offset)
	if err != nil || !info.Used {
		return info, err
	}
	q := request{Chip: c.info.Label, Name: c.info.Name, Lines: []line{{Offset: offset}}}
	if r, l, err := c.ask(frame{Op: opFree, Lines: &q}); l != nil && err == nil && r.Held {
		info.Used, info.Consumer = false, ""
	}
	return info, nil
}

// Request implements gpiochip.Chip. Lines that the guard holds are driven as before
// until they have their first values.
func (c *chip) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	q, outputs := newRequest(c.info, r)
	if !outputs {
		return c.Chip.Request(r)
	}
	if lines, err := c.take(q, r); lines != nil || err != nil {
		return lines, err
	}
	inner, err := c.Chip.Request(r)
	if err != nil {
		return nil, err
	}
	file, ok := inner.(syscall.Conn)
	if !ok {
		return inner, nil // Those of a simulated chip have no file.
	}
	lines := c.client.wrap(inner, file, q)
	// A guard that has just come may have seen them.
	if link := c.client.reach(false); link != nil && lines.link.Load() != link {
		if err := c.client.join(link, lines); err != nil {
			c.client.log.Warn("an output is not guarded", "lines", q.Consumer, "err", err)
		}
	}
	return lines, nil
}

// take gets lines that the guard holds, nil if there is none, or it does not.
func (c *chip) take(q request, r gpiochip.Request) (gpiochip.Lines, error) {
	answer, link, err := c.ask(frame{Op: opTake, Lines: &q})
	if err != nil {
		c.client.log.Warn("lines are not had from the guard", "lines", q.Consumer, "err", err)
		return nil, nil
	}
	if link == nil || answer.file == nil {
		return nil, nil
	}
	return c.adopt(link, answer, q, r)
}

// ask asks the guard, which is nil if there is none. A connection that has ended, and
// has not been missed yet, is made anew.
func (c *chip) ask(f frame) (answer reply, l *link, err error) {
	for range maxReach {
		if l = c.client.reach(false); l == nil {
			return reply{}, nil, nil
		}
		answer, err = l.ask(f, nil)
		if err == nil || !errors.Is(err, syscall.EPIPE) && !l.isBroken() {
			return answer, l, err
		}
		c.client.lose(l)
	}
	return answer, l, err
}

// adopt makes lines of what the guard has given, and sets their first values.
func (c *chip) adopt(link *link, answer reply, q request, r gpiochip.Request) (gpiochip.Lines, error) {
	inner := c.client.lines(answer.file)
	file, ok := inner.(syscall.Conn)
	if !ok {
		inner.Close()
		return nil, errors.ErrUnsupported
	}
	lines := c.client.wrap(inner, file, q)
	c.client.bind(link, lines)
	first, err := firstValues(r, inner)
	if err == nil {
		err = lines.SetValues(q.mask(), first)
	}
	if err != nil {
		lines.Close()
		return nil, err
	}
	return lines, nil
}

// values are the first values of r that it says.
func values(r gpiochip.Request) (values uint64) {
	for i, l := range r.Lines {
		if l.Value {
			values |= 1 << i
		}
	}
	return values
}

// firstValues are the first values of r, some of which are those that lines have.
func firstValues(r gpiochip.Request, lines gpiochip.Lines) (uint64, error) {
	var found uint64
	for i, l := range r.Lines {
		if l.Found {
			found |= 1 << i
		}
	}
	if found == 0 {
		return values(r), nil
	}
	is, err := lines.Values(found)
	return values(r) | is, err
}
