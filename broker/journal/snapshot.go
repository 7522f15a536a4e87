package journal

import "io"

// A Snapshot is a store as it was at one moment, in files: all that was committed
// then, and nothing else. So it is a state that a power cut might have left. The
// journal goes on meanwhile, but the files of segments that it frees are not
// used again before Close.
type Snapshot struct {
	Files []SnapshotFile

	disk   *Disk
	pinned []*segment
}

// A SnapshotFile is one file of a Snapshot.
type SnapshotFile struct {
	Name string
	Size int64

	window window
	off    int64
	end    int64 // what follows is zeros
}

// Snapshot returns the store of now. It waits for nobody.
func (d *Disk) Snapshot() (*Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing || d.phase == opened || d.phase == closed {
		return nil, ErrClosed
	}
	s := &Snapshot{disk: d}
	last, cut := d.committedEnd()
	for _, seg := range d.segments {
		seg.readers++
		s.pinned = append(s.pinned, seg)
		end := int64(seg.end)
		if seg.replayed {
			end = seg.size // What is damaged in it is behind its end, perhaps.
		}
		if seg == last {
			end = int64(cut)
		}
		s.addFiles(seg, end)
		if seg == last {
			break
		}
	}
	return s, nil
}

// committedEnd returns where what is not committed begins; nil is nowhere. The
// caller holds mu.
func (d *Disk) committedEnd() (*segment, uint32) {
	for _, b := range []*batch{d.flight, d.open} {
		if b != nil && len(b.chunks) > 0 {
			return b.chunks[0].seg, b.chunks[0].offset
		}
	}
	if d.tail == nil {
		return nil, 0
	}
	return d.tail, d.tail.end
}

// addFiles adds the files that have the bytes of seg up to offset end.
func (s *Snapshot) addFiles(seg *segment, end int64) {
	for i := range seg.extents {
		e := &seg.extents[i]
		to := min(seg.until(i), end)
		if to <= int64(e.from) {
			continue
		}
		s.Files = append(s.Files, SnapshotFile{
			Name: e.slot.name, Size: e.slot.size, end: to, window: window{r: e.slot.file, end: to},
		})
	}
}

// Read implements io.Reader. What the disk cannot read is zeros, and so a damaged
// record: a store is copied because its disk dies.
func (f *SnapshotFile) Read(p []byte) (int, error) {
	if f.off >= f.Size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), f.Size-f.off, windowSize))
	m := 0
	if f.off < f.end {
		m = copy(p[:n], f.window.at(f.off, int64(n)))
	}
	clear(p[m:n])
	f.off += int64(n)
	return n, nil
}

// Close lets the journal use the files again.
func (s *Snapshot) Close() {
	for _, seg := range s.pinned {
		s.disk.unpin(seg)
	}
	s.pinned = nil
}
