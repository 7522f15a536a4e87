package usb

import (
	"fmt"
	"io"
	"slices"
	"sync"
)

// A Device is an adapter that is plugged in, until its connection to the kernel ends.
// It is the serial end, too: what is written to it goes to the host.
type Device struct {
	model
	name string
	take func([]byte)

	mu     sync.Mutex
	conn   io.Writer
	asked  []urb  // for data to the host, unanswered
	idle   []urb  // for what never comes: changes of modem lines
	unread []byte // to the host
}

// unreadLimit is how many bytes wait for a host that does not read; more are lost,
// as by an adapter.
const unreadLimit = 4096

// New returns the adapter of a driver, with the serial number name if it is one that
// has any. take gets what the host sends, in order.
func New(driver, name string, take func([]byte)) (*Device, error) {
	m, ok := models[driver]
	if !ok {
		return nil, fmt.Errorf("there is no adapter for the driver %q; want one of %v", driver, Drivers())
	}
	if !m.serial {
		name = ""
	}
	return &Device{model: m, name: name, take: take}, nil
}

// Serve speaks USB/IP on conn, as after an import, until conn ends. The error is
// never nil.
func (d *Device) Serve(conn io.ReadWriter) error {
	d.mu.Lock()
	d.conn = conn
	d.mu.Unlock()
	for {
		packet, err := read(conn)
		if err != nil {
			return err
		}
		switch p := packet.(type) {
		case unlink:
			err = d.unlink(p)
		case urb:
			err = d.submit(p)
		}
		if err != nil {
			return err
		}
	}
}

// Write sends b to the host.
func (d *Device) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.unread)+len(b) <= unreadLimit {
		d.unread = append(d.unread, b...)
	}
	return len(b), d.flush()
}

// flush answers what can be. mu is held.
func (d *Device) flush() error {
	for len(d.asked) > 0 && len(d.unread) > 0 {
		u := d.asked[0]
		d.asked = d.asked[1:]
		room := min(d.packet, u.length) - len(d.status)
		n := min(max(room, 0), len(d.unread))
		data := append(slices.Clone(d.status), d.unread[:n]...)
		d.unread = d.unread[n:]
		if _, err := d.conn.Write(answer(u, okay, len(data), data)); err != nil {
			return err
		}
	}
	return nil
}

func (d *Device) submit(u urb) error {
	if !u.in && u.endpoint == d.out {
		d.take(u.data)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case u.endpoint == 0:
		return d.control(u)
	case !u.in:
		_, err := d.conn.Write(answer(u, okay, len(u.data), nil))
		return err
	case u.endpoint == d.in:
		d.asked = append(d.asked, u)
		return d.flush()
	}
	d.idle = append(d.idle, u)
	return nil
}

// unlink takes a transfer back. One that was done before has had its answer.
func (d *Device) unlink(p unlink) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := int32(okay)
	for _, list := range []*[]urb{&d.asked, &d.idle} {
		before := len(*list)
		*list = slices.DeleteFunc(*list, func(u urb) bool { return u.sequence == p.victim })
		if len(*list) < before {
			status = unlinked
		}
	}
	_, err := d.conn.Write(answerUnlink(p, status))
	return err
}

// control answers a request to endpoint 0. mu is held.
func (d *Device) control(u urb) error {
	if !u.in {
		if u.setup[1] == d.open {
			d.unread = nil
		}
		_, err := d.conn.Write(answer(u, okay, len(u.data), nil))
		return err
	}
	data, ok := d.told(u.setup)
	if !ok {
		_, err := d.conn.Write(answer(u, stalled, 0, nil))
		return err
	}
	data = data[:min(len(data), u.length)]
	_, err := d.conn.Write(answer(u, okay, len(data), data))
	return err
}

// told is what the device says when asked (USB 2.0, table 9-2).
//
//	type | request | value:2 | index:2 | length:2
func (d *Device) told(setup [8]byte) (data []byte, ok bool) {
	const getDescriptor = 6
	length := int(setup[6]) | int(setup[7])<<8
	if kind := setup[0] >> 5 & 3; kind != 0 { // of a class or of the maker
		return append(slices.Clone(d.answers[setup[1]]), make([]byte, length)...)[:length], true
	}
	if setup[1] != getDescriptor {
		return make([]byte, length), true // status, interface: nothing is on
	}
	switch number := setup[2]; setup[3] {
	case deviceDescriptor:
		return d.device(d.name), true
	case configurationDescriptor:
		return d.configuration(), true
	case stringDescriptor:
		return d.text(number)
	}
	return nil, false
}

func (d *Device) text(number byte) ([]byte, bool) {
	s := ""
	switch number {
	case 0:
		return languages, true
	case manufacturerString:
		s = d.manufacturer
	case productString:
		s = d.product
	case serialString:
		s = d.name
	}
	return text(s), s != ""
}
