package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

func slotName(n int) string { return fmt.Sprintf("%s%04d%s", slotPrefix, n, slotSuffix) }

// slotNumber returns the number in the name of a segment file.
func slotNumber(name string) (n int, ok bool) {
	s, ok1 := strings.CutPrefix(name, slotPrefix)
	s, ok2 := strings.CutSuffix(s, slotSuffix)
	n, err := strconv.Atoi(s)
	return n, ok1 && ok2 && err == nil && n > 0
}

// SetAside renames all files of the store in fs, so that the next Open finds
// none. It deletes nothing. The names end in the suffix that it returns.
func SetAside(fs FS) (suffix string, err error) {
	names, err := fs.List()
	if err != nil {
		return "", fmt.Errorf("set the store aside: %w", err)
	}
	suffix = asideSuffix()
	for _, name := range names {
		if _, ok := slotNumber(name); ok {
			err = errors.Join(err, fs.Rename(name, name+suffix))
		}
	}
	if err := errors.Join(err, fs.SyncDir()); err != nil {
		return "", fmt.Errorf("set the store aside: %w", err)
	}
	return suffix, nil
}

// Aside returns the names of files in fs that SetAside or Start renamed, since
// nothing in them can be read.
func Aside(fs FS) ([]string, error) {
	names, err := fs.List()
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, slotPrefix) || !strings.Contains(name, slotSuffix+asideMark)
	}), err
}

// asideMark is behind the name that a file had.
const asideMark = ".damaged-"

func aside(name string) string { return name + asideSuffix() }

func asideSuffix() string { return asideMark + time.Now().UTC().Format("20060102T150405") }

// inspect finds out what the files of the store are.
func (d *Disk) inspect() error {
	names, err := d.fs.List()
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	slices.Sort(names) // So that equal stores are opened equally.
	var trouble error
	for _, name := range names {
		n, ok := slotNumber(name)
		if !ok {
			continue
		}
		d.names = max(d.names, n)
		err := d.inspectFile(name)
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("open the journal: %w: its files must belong to the user that runs the broker", err)
		}
		if err != nil {
			d.log.Error("a file of the journal cannot be read", "file", name, "error", err)
			d.ruins = append(d.ruins, name)
			d.flaws = append(d.flaws, Flaw{name, err.Error()})
			trouble = err
		}
	}
	if len(d.segments) == 0 && trouble != nil {
		return fmt.Errorf("open the journal: %w: %w", ErrUnreadable, trouble)
	}
	d.sortSegments()
	return nil
}

var (
	errNewer   = errors.New("it was written by a newer version of the program")
	errGarbage = errors.New("it has neither a label nor records")
)

// inspectFile finds out what the file is. An error says that it cannot be read.
func (d *Disk) inspectFile(name string) error {
	f, err := d.fs.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close()
		return err
	}
	s := &slot{name: name, size: size, file: f}
	l, err := s.label()
	d.flaw(s, l)
	switch {
	case err == nil && l.id != 0:
		d.addSegment(s, l)
		return nil
	case err == nil:
		d.spare = append(d.spare, s)
		return nil
	case errors.Is(err, errBlank):
		d.debris = append(d.debris, name)
		err = nil
	}
	_ = f.Close()
	return err
}

// errBlank says that nothing was ever written to a file.
var errBlank = errors.New("it is empty")

// label returns the label of the file, or what it may have been.
func (s *slot) label() (label, error) {
	w := window{r: s.file, end: s.size}
	area := w.at(0, labelArea)
	var best label
	var newer bool
	intact := 0
	for _, at := range []int{0, labelCopy} {
		l, ok, n := parseLabel(area[min(at, len(area)):])
		newer = newer || n
		// If they differ, the newer one is about to replace the older one, whose
		// records were not needed any more.
		if ok && (intact == 0 || l.number > best.number) {
			best = l
		}
		intact += int(bit[byte](ok, 1))
	}
	switch {
	case intact > 0 && int64(best.start) <= s.size:
		s.halved = intact == 1
		return best, nil
	case newer:
		return label{}, errNewer
	}
	if l, ok := salvage(s); ok {
		return l, nil
	}
	if s.blank() {
		return label{}, errBlank
	}
	return label{}, errGarbage
}

func (s *slot) blank() bool {
	w := window{r: s.file, end: s.size}
	empty := make([]byte, windowSize)
	for off := int64(0); off < s.size; off += windowSize {
		b := w.at(off, windowSize)
		if !bytes.Equal(b, empty[:len(b)]) {
			return false
		}
	}
	return true
}

func (d *Disk) addSegment(s *slot, l label) {
	d.number = max(d.number, l.number)
	d.labels = append(d.labels, l)
	d.segments = append(d.segments, &segment{
		size: s.size, first: l.first, begun: l.number, replayed: true, extents: []extent{{from: l.start, slot: s, id: l.id}},
	})
	d.used += s.size
}

// sortSegments puts the segments into the order in which they were begun, and
// numbers them.
//
// A segment ends where a later one begins: what follows in it was not safe when
// the later one was begun, and was given up by a crash or after an error of the
// disk. If that is all there is in it, it is free.
func (d *Disk) sortSegments() {
	for _, s := range d.segments {
		if s.begun == 0 { // Its label is lost.
			for _, o := range d.segments {
				if o.first <= s.first {
					s.begun = max(s.begun, o.begun)
				}
			}
		}
	}
	slices.SortStableFunc(d.segments, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.begun, b.begun), cmp.Compare(a.first, b.first))
	})
	var live []*segment
	limit := uint64(math.MaxUint64)
	for _, s := range slices.Backward(d.segments) {
		if s.first >= limit {
			d.spareSegment(s)
			continue
		}
		limit = s.first
		live = append(live, s)
	}
	slices.Reverse(live)
	for i, s := range live {
		s.number = uint32(i + 1)
	}
	d.segments = live
}

// spareSegment makes the file of a segment that has nothing a spare one.
func (d *Disk) spareSegment(s *segment) {
	d.used -= s.size
	d.spare = append(d.spare, s.extents[0].slot)
}
