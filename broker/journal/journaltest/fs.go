package journaltest

import (
	"bytes"
	"hash/maphash"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"

	"edge/broker/journal"
)

// An OpKind is a kind of access to an FS.
type OpKind string

// The kinds. Of reading from a folder, only List is one.
const (
	OpList    OpKind = "list"
	OpOpen    OpKind = "open"
	OpEdit    OpKind = "edit"
	OpCreate  OpKind = "create"
	OpRemove  OpKind = "remove"
	OpRename  OpKind = "rename"
	OpSyncDir OpKind = "sync dir"
	OpRead    OpKind = "read"
	OpWrite   OpKind = "write"
	OpSync    OpKind = "sync"
)

// An Op is one access to an FS.
type Op struct {
	Kind   OpKind
	Name   string // of the file
	Offset int64
	Bytes  int
}

// sector is what a disk writes in whole or not at all.
const sector = 512

// An FS is a journal.FS in memory that knows what would survive a power cut:
// what was written and not synced, and entries of the folder that were changed
// and not synced, may be on the disk or not, in any combination.
type FS struct {
	mu    sync.Mutex
	live  map[string]*inode // the folder as programs see it
	disk  map[string]*inode // the folder as it was synced
	dirty []entry           // changes of live since
	ops   []Op
	free  int64
	hook  func(Op) error
}

var _ journal.FS = (*FS)(nil)

// An entry is a change of the folder.
type entry struct {
	name string
	node *inode // nil: removed
	with int    // how many entries after this one belong to the same change
}

// An inode is what a file holds. Contents are shared by copies, and so never
// changed but by own.
type inode struct {
	now    []byte  // as programs see it
	disk   []byte  // as it was synced
	dirty  []write // since
	lost   []write // their sync failed: they may be on the disk, no later sync brings them there
	shared bool
}

type write struct {
	offset int64
	data   []byte
}

// NewFS returns an empty FS without limits.
func NewFS() *FS {
	return &FS{live: map[string]*inode{}, disk: map[string]*inode{}, free: 1 << 40}
}

// Hook has f called before each access. An error that it returns is that of the
// access: a write is done by half, a sync not at all. f may take its time, and
// may look at Crashes.
func (f *FS) Hook(hook func(Op) error) {
	f.mu.Lock()
	f.hook = hook
	f.mu.Unlock()
}

// SetFree sets how many bytes files may still grow.
func (f *FS) SetFree(n int64) {
	f.mu.Lock()
	f.free = n
	f.mu.Unlock()
}

// Ops returns what was done so far, but for reading.
func (f *FS) Ops() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ops)
}

// Names returns the names of the files, sorted.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.live))
}

// Sum returns a number that is the same for two FS that a program finds equal,
// and hardly ever for others.
func (f *FS) Sum() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var h maphash.Hash
	h.SetSeed(sumSeed)
	for _, name := range slices.Sorted(maps.Keys(f.live)) {
		b := f.live[name].now
		maphash.WriteComparable(&h, len(b))
		_, _ = h.WriteString(name)
		_, _ = h.Write(b)
	}
	return h.Sum64()
}

var sumSeed = maphash.MakeSeed()

// Bytes returns a copy of what is in a file.
func (f *FS) Bytes(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.live[name].now)
}

// SetBytes makes a file of the given content, safe on the disk.
func (f *FS) SetBytes(name string, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := &inode{now: b, disk: b, shared: true}
	f.live[name], f.disk[name] = n, n
}

// Rot flips the bits of mask in a byte of a file, as a bad card does.
func (f *FS) Rot(name string, off int64, mask byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.live[name]
	n.own()
	n.now[off] ^= mask
	n.disk[off] ^= mask
}

// Clone returns a copy of f as another process would find it if this one were
// killed: nothing is lost yet. The copy has no hook.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &FS{live: map[string]*inode{}, disk: map[string]*inode{}, free: f.free}
	copies := map[*inode]*inode{nil: nil}
	clone := func(n *inode) *inode {
		if _, ok := copies[n]; !ok {
			n.shared = true
			m := *n
			m.dirty, m.lost = slices.Clone(n.dirty), slices.Clone(n.lost)
			copies[n] = &m
		}
		return copies[n]
	}
	for name, n := range f.live {
		c.live[name] = clone(n)
	}
	for name, n := range f.disk {
		c.disk[name] = clone(n)
	}
	for _, e := range f.dirty {
		e.node = clone(e.node)
		c.dirty = append(c.dirty, e)
	}
	return c
}

// Crash returns a state that the disk may be in after a power cut now.
func (f *FS) Crash(r *rand.Rand) *FS { return f.Clone().crash(r) }

// Crashes returns n states that the disk may be in after a power cut now.
func (f *FS) Crashes(r *rand.Rand, n int) iter.Seq[*FS] {
	return func(yield func(*FS) bool) {
		for range n {
			if !yield(f.Crash(r)) {
				return
			}
		}
	}
}

// crash forgets some of what was not synced. Nobody else has f.
func (f *FS) crash(r *rand.Rand) *FS {
	for i := 0; i < len(f.dirty); i++ {
		e, keep := f.dirty[i], r.IntN(2) == 0
		for _, e := range f.dirty[i : i+1+e.with] {
			if keep {
				set(f.disk, e)
			}
		}
		i += e.with
	}
	for name, n := range f.disk {
		f.disk[name] = n.crash(r)
	}
	return &FS{live: maps.Clone(f.disk), disk: f.disk, free: f.free}
}

func set(dir map[string]*inode, e entry) {
	if dir[e.name] = e.node; e.node == nil {
		delete(dir, e.name)
	}
}

// crash returns what is left of n.
func (n *inode) crash(r *rand.Rand) *inode {
	writes := slices.Concat(n.lost, n.dirty)
	if len(writes) == 0 {
		return &inode{now: n.disk, disk: n.disk, shared: true}
	}
	if r.IntN(2) == 0 {
		r.Shuffle(len(writes), func(i, j int) { writes[i], writes[j] = writes[j], writes[i] })
	}
	data := bytes.Clone(n.disk)
	// All, none, nearly all, nearly none, or any.
	share := []float64{0, 0.05, 0.5, 0.95, 1}[r.IntN(5)]
	for _, w := range writes {
		for from := 0; from < len(w.data); {
			to := min(len(w.data), from+sector-int((w.offset+int64(from))%sector))
			if r.Float64() < share {
				data = put(data, w.offset+int64(from), w.data[from:to])
			}
			from = to
		}
	}
	if len(n.now) > len(data) && r.IntN(2) == 0 {
		data = put(data, int64(len(n.now)), nil) // The size came through, the data did not.
	}
	return &inode{now: data, disk: data, shared: true}
}

// put writes p at off, and zeros before it if there is nothing.
func put(b []byte, off int64, p []byte) []byte {
	if grow := off + int64(len(p)) - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[off:], p)
	return b
}

// do asks the hook and notes op.
func (f *FS) do(op Op) error {
	f.mu.Lock()
	if op.Kind != OpRead {
		f.ops = append(f.ops, op)
	}
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	if err := hook(op); err != nil {
		return &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: err}
	}
	return nil
}

// List implements journal.FS.
func (f *FS) List() ([]string, error) {
	if err := f.do(Op{Kind: OpList}); err != nil {
		return nil, err
	}
	return f.Names(), nil
}

// Open implements journal.FS.
func (f *FS) Open(name string) (journal.File, error) { return f.open(Op{Kind: OpOpen, Name: name}) }

// Edit implements journal.FS.
func (f *FS) Edit(name string) (journal.File, error) { return f.open(Op{Kind: OpEdit, Name: name}) }

func (f *FS) open(op Op) (journal.File, error) {
	if err := f.do(op); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.live[op.Name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: op.Name, Err: fs.ErrNotExist}
	}
	return &file{fs: f, node: n, name: op.Name, readOnly: op.Kind == OpOpen}, nil
}

// Create implements journal.FS.
func (f *FS) Create(name string) (journal.File, error) {
	if err := f.do(Op{Kind: OpCreate, Name: name}); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := new(inode)
	f.change(entry{name: name, node: n})
	return &file{fs: f, node: n, name: name}, nil
}

// change changes the folder; the disk follows, or not.
func (f *FS) change(entries ...entry) {
	for i, e := range entries {
		e.with = len(entries) - 1 - i
		f.dirty = append(f.dirty, e)
		set(f.live, e)
	}
}

// Remove implements journal.FS.
func (f *FS) Remove(name string) error {
	if err := f.do(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.live[name]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	f.free += int64(len(n.now))
	f.change(entry{name: name})
	return nil
}

// Rename implements journal.FS.
func (f *FS) Rename(from, to string) error {
	if err := f.do(Op{Kind: OpRename, Name: from}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.live[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	f.change(entry{name: from}, entry{name: to, node: n})
	return nil
}

// SyncDir implements journal.FS.
func (f *FS) SyncDir() error {
	if err := f.do(Op{Kind: OpSyncDir}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk, f.dirty = maps.Clone(f.live), nil
	return nil
}

// Free implements journal.FS.
func (f *FS) Free() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.free, nil
}

// A file is an open file of an FS.
type file struct {
	fs       *FS
	node     *inode
	name     string
	readOnly bool
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.do(Op{Kind: OpRead, Name: f.name, Offset: off, Bytes: len(p)}); err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if off >= int64(len(f.node.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if f.readOnly {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.EBADF}
	}
	err := f.fs.do(Op{Kind: OpWrite, Name: f.name, Offset: off, Bytes: len(p)})
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err != nil {
		p = p[:len(p)/2]
	}
	grow := off + int64(len(p)) - int64(len(f.node.now))
	if grow > f.fs.free {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	f.fs.free -= max(0, grow)
	f.node.write(off, p)
	return len(p), err
}

func (n *inode) write(off int64, p []byte) {
	n.own()
	n.now = put(n.now, off, p)
	n.dirty = append(n.dirty, write{off, bytes.Clone(p)})
}

// own makes the contents n's own.
func (n *inode) own() {
	if n.shared {
		n.now, n.disk, n.shared = bytes.Clone(n.now), bytes.Clone(n.disk), false
	}
}

func (f *file) Sync() error {
	err := f.fs.do(Op{Kind: OpSync, Name: f.name})
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n := f.node
	if err != nil {
		// The kernel takes the pages for clean now: a later fdatasync returns at
		// once, and says nothing.
		n.lost, n.dirty = append(n.lost, n.dirty...), nil
		return err
	}
	n.own()
	for _, w := range n.dirty {
		n.disk = put(n.disk, w.offset, w.data)
	}
	n.dirty, n.lost = nil, nil
	return nil
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.now)), nil
}

func (f *file) Close() error { return nil }
