package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
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

func aside(name string) string { return name + asideSuffix() }

func asideSuffix() string { return ".damaged-" + time.Now().UTC().Format("20060102T150405") }

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
	var intact, newer bool
	for _, at := range []int{0, labelCopy} {
		l, ok, n := parseLabel(area[min(at, len(area)):])
		newer = newer || n
		// If they differ, the newer one is about to replace the older one, whose
		// records were not needed any more.
		if ok && (!intact || l.number > best.number) {
			best, intact = l, true
		}
	}
	switch {
	case intact && int64(best.start) <= s.size:
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
		size: s.size, first: l.first, replayed: true, extents: []extent{{from: l.start, slot: s, id: l.id}},
	})
	d.used += s.size
}

// sortSegments sorts the segments by their records, and numbers them.
func (d *Disk) sortSegments() {
	order := make([]int, len(d.segments))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		// Where both began with the same record, the older one was given up.
		return cmp.Or(cmp.Compare(d.labels[a].first, d.labels[b].first), cmp.Compare(d.labels[a].number, d.labels[b].number))
	})
	segments := make([]*segment, len(order))
	for i, j := range order {
		segments[i] = d.segments[j]
		segments[i].number = uint32(i + 1)
	}
	d.segments = segments
}
