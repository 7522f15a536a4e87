package interop

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"
	"regexp"
	"strconv"
	"strings"

	"edge/broker/journal"
)

// A promise is what a packet of the broker says about a packet id of a client, by
// the kind of the record that must be on the disk before.
type promise struct {
	kind   journal.Kind
	client string
	id     uint16
}

// promises are the packets that say that something is on the disk. PUBREL lets a
// subscriber forget the packet id, so the broker must not.
var promises = map[kind]journal.Kind{
	cPUBACK: journal.Published, cPUBREC: journal.Published, cPUBCOMP: journal.Released, cPUBREL: journal.Received,
}

// An audit reads the system calls of the broker and finds the promises that it
// gave before fdatasync had returned for their records. It trusts nothing but the
// trace: no count, no clock, no word of the journal.
//
// strace stops a thread at the entry and at the exit of a system call, and lets
// it go on when it has noted that. So a call whose beginning is noted below the
// end of another one began after that had returned.
type audit struct {
	clients map[string]string // their ids by their addresses

	files   map[string]*file
	syncing map[*call]int // fdatasync: how many records it covers
	streams map[string]*stream
	safe    map[promise]int // the line in which it was

	kept   map[kind]int // promises by packet
	broken []string
}

// A file is one that is written to.
type file struct {
	made    int  // the line in which it was there
	named   bool // its name is safe
	records []promise
	safe    int // so many of records
}

// A stream is what is written to a socket.
type stream struct {
	buf   []byte
	lines []int // in which the write of each byte began
}

func newAudit(clients map[string]string) *audit {
	return &audit{
		clients: clients, files: make(map[string]*file), syncing: make(map[*call]int), streams: make(map[string]*stream),
		safe: make(map[promise]int), kept: make(map[kind]int),
	}
}

func (a *audit) began(c *call) error {
	switch c.name {
	case "fdatasync":
		a.syncing[c] = len(a.file(c.target).records)
	case "writev", "sendto", "sendmsg", "pwritev", "pwritev2", "creat", "rename", "renameat", "renameat2":
		return fmt.Errorf("the audit does not know what %s does", c.name)
	}
	return nil
}

func (a *audit) ended(c *call, line int) error {
	switch c.name {
	case "openat":
		if c.result >= 0 && strings.Contains(c.flags, "O_CREAT") {
			a.files[string(c.data)] = &file{made: line}
		}
	case "pwrite64":
		return a.wrote(c)
	case "fdatasync":
		a.synced(c, line)
	case "fsync":
		a.syncedDir(c)
	case "write":
		return a.sent(c)
	}
	return nil
}

func (a *audit) file(name string) *file {
	f := a.files[name]
	if f == nil {
		f = new(file)
		a.files[name] = f
	}
	return f
}

// wrote notes the records that a file has now.
func (a *audit) wrote(c *call) error {
	if c.result < 0 {
		return nil
	}
	f, b := a.file(c.target), c.data[:min(int(c.result), len(c.data))]
	for len(b) > 0 {
		n, p := record(b)
		if n == 0 {
			break // A label, or zeros.
		}
		if f.records, b = append(f.records, p...), b[n:]; len(b) == 0 && !c.whole {
			return fmt.Errorf("records are cut off; -s must be larger")
		}
	}
	return nil
}

// synced makes safe what a file had when fdatasync began. After an error, the
// kernel takes for written what is not (see fsync(2)).
func (a *audit) synced(c *call, line int) {
	f, n := a.file(c.target), a.syncing[c]
	delete(a.syncing, c)
	if c.result != 0 {
		f.records, f.safe = nil, 0
		return
	}
	if !f.named {
		return
	}
	for ; f.safe < n; f.safe++ {
		if p := f.records[f.safe]; a.safe[p] == 0 {
			a.safe[p] = line
		}
	}
}

// syncedDir makes safe the names of the files in a folder.
func (a *audit) syncedDir(c *call) {
	for name, f := range a.files {
		f.named = f.named || c.result == 0 && path.Dir(name) == c.target && f.made < c.began
	}
}

// sent reads the packets that went to a client.
func (a *audit) sent(c *call) error {
	_, address, ok := strings.Cut(strings.TrimSuffix(c.target, "]"), "->")
	client := a.clients[address]
	if !ok || client == "" || c.result < 0 {
		return nil
	}
	if !c.whole {
		return fmt.Errorf("packets are cut off; -s must be larger")
	}
	s := a.streams[address]
	if s == nil {
		s = new(stream)
		a.streams[address] = s
	}
	for _, b := range c.data[:c.result] {
		s.buf, s.lines = append(s.buf, b), append(s.lines, c.began)
	}
	for {
		r := bytes.NewReader(s.buf)
		p, err := readPacket(r)
		if err != nil {
			return nil // The rest is still to come.
		}
		a.judge(client, p, s.lines[0])
		n := len(s.buf) - r.Len()
		s.buf, s.lines = s.buf[n:], s.lines[n:]
	}
}

// judge looks for the promise of a packet whose write began in line.
func (a *audit) judge(client string, q packet, line int) {
	kind, ok := promises[q.kind]
	if !ok || len(q.body) > 2 && q.body[2] >= 0x80 {
		return
	}
	p := promise{kind, client, binary.BigEndian.Uint16(q.body)}
	if at := a.safe[p]; at == 0 || at > line {
		a.broken = append(a.broken, fmt.Sprintf("line %d: %v %d was sent to %s before its record was safe", line, q.kind, p.id, client))
		return
	}
	a.kept[q.kind]++
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record returns the size of the record at the beginning of b and what depends on
// it; 0 if there is none. It knows the format by itself: what a broken encoder
// and its decoder agree on is of no use to anybody.
func record(b []byte) (n int, depends []promise) {
	const head = 25
	if len(b) < head {
		return 0, nil
	}
	n = head + int(binary.LittleEndian.Uint32(b[4:]))
	if n == head || n > len(b) || crc32.Checksum(b[4:n], castagnoli) != binary.LittleEndian.Uint32(b) {
		return 0, nil
	}
	switch kind, body := journal.Kind(b[head-1]), b[head:n]; kind {
	case journal.Published:
		return n, published(body)
	case journal.Released, journal.Received:
		return n, []promise{flow(kind, body)}
	}
	return n, nil
}

// token is in the payloads of messages of TestOrder: the client and the packet id.
var token = regexp.MustCompile(`<(\w+) (\d+)>`)

func published(body []byte) (depends []promise) {
	for _, m := range token.FindAllSubmatch(body, -1) {
		id, _ := strconv.ParseUint(string(m[2]), 10, 16)
		depends = append(depends, promise{journal.Published, string(m[1]), uint16(id)})
	}
	return depends
}

// flow reads a record about a QoS 2 flow: a mask, the client, and either a
// sequence, which makes a packet id, or a packet id.
func flow(kind journal.Kind, body []byte) promise {
	mask, n := binary.Uvarint(body)
	size, k := binary.Uvarint(body[n:])
	client, rest := body[n+k:][:size], body[n+k+int(size):]
	number, _ := binary.Uvarint(rest)
	if kind == journal.Received {
		if mask&2 == 0 {
			number = 0
		}
		number = 1 + number%65535
	}
	return promise{kind, string(client), uint16(number)}
}
