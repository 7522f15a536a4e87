package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// maxJunk is how many files that cannot be removed are too many to make more.
const maxJunk = 4

// zeroBytes is how much of a new file is written at once: what others flush
// meanwhile waits for that much.
const zeroBytes = 1 << 20

// newID returns a number that is not 0 and that no file had, by all likelihood.
// It is random so that nobody can make payloads that look like records.
func newID() uint32 {
	var b [4]byte
	for {
		_, _ = rand.Read(b[:]) // It never fails.
		if id := binary.LittleEndian.Uint32(b[:]); id != 0 {
			return id
		}
	}
}

// takeSlot returns a file of the given size to write to, a spare one if there
// is one.
func (d *Disk) takeSlot(size int64) (*slot, error) {
	defer d.nudge(d.stock)
	if size != d.opts.SegmentBytes {
		return d.createSlot(size, false)
	}
	d.mu.Lock()
	if len(d.spare) == 0 {
		d.mu.Unlock()
		return d.createSlot(size, true)
	}
	s := d.spare[0]
	d.spare = d.spare[1:]
	d.mu.Unlock()
	return s, d.edit(s)
}

// edit opens s for writing.
func (d *Disk) edit(s *slot) error {
	if s.writable {
		return nil
	}
	f, err := d.fs.Edit(s.name)
	if err != nil {
		d.discard(s)
		return err
	}
	_ = s.file.Close()
	s.file, s.writable = f, true
	return nil
}

// createSlot makes a file. If it is to be used again and again it is filled with
// zeros, so that writing into it changes nothing but its bytes: fdatasync then
// needs no commit of the file system's journal. It has a label without id, to
// tell it from a file whose making was cut short.
func (d *Disk) createSlot(size int64, fill bool) (*slot, error) {
	if err := d.clearJunk(); err != nil {
		return nil, err
	}
	s, err := d.newFile()
	if err != nil {
		return nil, err
	}
	s.size = size
	if fill {
		err = d.fill(s)
	}
	if err == nil {
		_, err = s.file.WriteAt(label{}.area(), 0)
	}
	if err == nil {
		err = s.file.Sync()
	}
	if err == nil {
		err = d.fs.SyncDir()
	}
	if err != nil {
		d.discard(s)
		return nil, err
	}
	return s, nil
}

// newFile creates a file with a name that is free.
func (d *Disk) newFile() (*slot, error) {
	for {
		d.mu.Lock()
		d.names++
		name := slotName(d.names)
		d.mu.Unlock()
		f, err := d.fs.Create(name)
		if err == nil {
			return &slot{name: name, file: f, writable: true}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

func (d *Disk) fill(s *slot) error {
	zeros := make([]byte, min(zeroBytes, s.size))
	for at := int64(0); at < s.size; at += int64(len(zeros)) {
		zeros = zeros[:min(int64(len(zeros)), s.size-at)]
		if _, err := s.file.WriteAt(zeros, at); err != nil {
			return err
		}
		if err := s.file.Sync(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.count.Disk += s.size
	d.count.Blocks += s.size
	d.mu.Unlock()
	return nil
}

// discard removes the file of s, now or later. If it comes back after a crash,
// its label tells that it is not needed.
func (d *Disk) discard(s *slot) {
	_ = s.file.Close()
	if err := d.fs.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.mu.Lock()
		d.junk = append(d.junk, s.name)
		d.mu.Unlock()
	}
}

// clearJunk tries again to remove what could not be removed. Too much of it is
// an error: a disk that takes files and loses what is in them would be filled.
func (d *Disk) clearJunk() error {
	d.mu.Lock()
	junk := d.junk
	d.junk = nil
	d.mu.Unlock()
	var left []string
	var last error
	for _, name := range junk {
		if err := d.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			left, last = append(left, name), err
		}
	}
	d.mu.Lock()
	d.junk = append(d.junk, left...)
	d.mu.Unlock()
	if len(left) > maxJunk {
		return fmt.Errorf("make a segment file: old ones are in the way: %w", last)
	}
	return nil
}

// release gives the files of a segment back that is not part of the log any
// more and that nobody reads.
func (d *Disk) release(seg *segment) {
	for _, e := range seg.extents {
		d.mu.Lock()
		surplus := len(d.spare) >= spareFiles && d.used+int64(len(d.spare))*d.opts.SegmentBytes >= d.opts.MinBytes
		again := !e.slot.bad && e.slot.size == d.opts.SegmentBytes && !surplus && !d.closing
		if again {
			d.spare = append(d.spare, e.slot)
			d.reconsider()
		}
		d.mu.Unlock()
		if !again {
			d.discard(e.slot)
		}
	}
	d.nudge(d.stock)
}

// roomFor reports whether the file system has n bytes more than it must keep.
func (d *Disk) roomFor(n int64) bool {
	free, err := d.fs.Free()
	return err != nil || free-n >= d.opts.ReserveBytes
}

// askAgain is how long the preparer waits before it looks again whether there is
// room for files.
const askAgain = 10 * time.Second

// runPreparer has files ready, so that nobody waits for the making of one.
func (d *Disk) runPreparer() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-d.stock:
		case <-timer.C:
		case <-d.stop:
			return
		}
		if d.prepare() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(askAgain)
		}
	}
}

// prepare makes files until there are enough, and returns false if it cannot.
func (d *Disk) prepare() bool {
	for d.wantsFiles() {
		room := d.roomFor(d.opts.SegmentBytes)
		var s *slot
		var err error
		if room {
			s, err = d.createSlot(d.opts.SegmentBytes, true)
		}
		d.mu.Lock()
		d.noSpace = s == nil
		if s != nil {
			d.spare = append(d.spare, s)
		}
		d.reconsider()
		d.mu.Unlock()
		if s == nil {
			d.log.Warn("there is no room to prepare a file of the journal", "error", err)
			return false
		}
	}
	return true
}

func (d *Disk) wantsFiles() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.spare)-d.unbound < reserveFiles && d.failing == nil && !d.closing
}

// reconsider finds out whether there is room for messages again. The caller
// holds mu.
func (d *Disk) reconsider() {
	if d.full && d.mayRotate(d.opts.SegmentBytes, true) == nil {
		d.full = false
		d.notice()
	}
}
