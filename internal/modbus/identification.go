package modbus

import "slices"

// singleObject is the level of a request for one object (AP §6.21).
const singleObject byte = 4

// moreFollows says that the objects do not fit one reply (AP §6.21).
const moreFollows = 0xFF

// maxObject is the longest value that fits a reply: 7 bytes come before the
// objects, 2 before the value.
const maxObject = MaxPDU - 7 - 2

// identification answers function 43 (AP §6.21). A first object that is not
// there is an error if it alone is asked for, and the first of all otherwise.
func (m *Memory) identification(r Request) (PDU, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.objects[r.Object]
	if len(m.objects) == 0 {
		return nil, IllegalFunction
	}
	if r.Level == singleObject && !known {
		return nil, IllegalDataAddress
	}
	first, last := r.Object, [...]byte{Basic: 0x02, Regular: 0x7F, Extended: 0xFF, singleObject: r.Object}[r.Level]
	if !known || first > last {
		first = 0
	}
	var ids []byte
	conformity := Basic
	for id := range m.objects {
		if id >= first && id <= last {
			ids = append(ids, id)
		}
		conformity = max(conformity, levelOf(id))
	}
	slices.Sort(ids)
	// Bit 7 of the conformity: objects can be asked for one by one.
	reply := PDU{byte(r.Function), deviceIdentification, r.Level, 0x80 | conformity, 0, 0, 0}
	return m.appendObjects(reply, ids), nil
}

// levelOf returns the lowest level that has an object.
func levelOf(id byte) byte {
	switch {
	case id <= Revision:
		return Basic
	case id < 0x80:
		return Regular
	}
	return Extended
}

// appendObjects appends as many objects as fit, and says which is the next.
func (m *Memory) appendObjects(reply PDU, ids []byte) PDU {
	for _, id := range ids {
		value := m.objects[id]
		value = value[:min(len(value), maxObject)]
		if len(reply)+2+len(value) > MaxPDU {
			reply[4], reply[5] = moreFollows, id
			break
		}
		reply = append(append(reply, id, byte(len(value))), value...)
		reply[6]++
	}
	return reply
}
