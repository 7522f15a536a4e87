package modbus

import "errors"

// A Handler answers requests. The error of Serve is an Exception; any other is
// DeviceFailure to the client, and ErrSilent sends nothing. What Serve returns
// for a broadcast is not sent.
type Handler interface {
	Serve(unit byte, req PDU) (PDU, error)
}

// Units is a Handler that hands requests to the unit that they are for, and
// broadcasts to all of them. It is silent for others.
type Units map[byte]Handler

// Serve implements Handler.
func (u Units) Serve(unit byte, req PDU) (PDU, error) {
	if unit == Broadcast {
		for _, h := range u {
			_, _ = h.Serve(unit, req)
		}
		return nil, ErrSilent
	}
	if h, ok := u[unit]; ok {
		return h.Serve(unit, req)
	}
	return nil, ErrSilent
}

// Has reports whether there is such a unit.
func (u Units) Has(unit byte) bool { return u[unit] != nil }

// answer returns the reply of h, which is nil if none is sent.
func answer(h Handler, unit byte, req PDU) PDU {
	reply, err := h.Serve(unit, req)
	var e Exception
	switch {
	case errors.Is(err, ErrSilent):
		return nil
	case errors.As(err, &e):
	case err != nil || len(reply) == 0 || len(reply) > MaxPDU:
		e = DeviceFailure
	default:
		return reply
	}
	return PDU{req[0] | exceptionBit, byte(e)}
}
