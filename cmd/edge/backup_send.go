package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edge/broker/journal"
	"edge/internal/config"
)

// A backupSource is what a backup is made of. It belongs to no goroutine.
type backupSource struct {
	node, file string // file is the configuration, if there is one
	snapshot   func() (*journal.Snapshot, error)
}

// An offer is the line before the members of a backup, which follow as a tar
// archive; its end is where as many have come as were announced.
type offer struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
	Node    string `json:"node,omitempty"`
	Config  string `json:"config,omitempty"` // where the configuration is
	Members int    `json:"members"`
	Bytes   int64  `json:"bytes"`
}

// A member is a file that a backup has.
type member struct {
	name string
	size int64
	r    io.Reader
}

// send writes an offer and the members, or why there are none.
func (b backupSource) send(w io.Writer) error {
	o := offer{OK: true, Node: b.node}
	if path, err := filepath.Abs(b.file); err == nil && b.file != "" {
		o.Config = path
	}
	members, err := b.configuration()
	if err != nil {
		return json.NewEncoder(w).Encode(offer{Error: err.Error()})
	}
	s, err := b.snapshot()
	if err != nil {
		return json.NewEncoder(w).Encode(offer{Error: fmt.Sprintf("copy the store: %v", err)})
	}
	defer s.Close()
	for i := range s.Files {
		f := &s.Files[i]
		members = append(members, member{memberJournal + f.Name, f.Size, f})
	}
	o.Members = len(members)
	for _, m := range members {
		o.Bytes += m.size
	}
	if err := json.NewEncoder(w).Encode(o); err != nil {
		return err
	}
	return sendMembers(w, members)
}

func sendMembers(w io.Writer, members []member) error {
	out := tar.NewWriter(w)
	for _, m := range members {
		if err := addMember(out, m.name, m.size, m.r); err != nil {
			return err
		}
	}
	return out.Close()
}

// addMember adds what r has, which is size bytes, to an archive.
func addMember(out *tar.Writer, name string, size int64, r io.Reader) error {
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: time.Now()}
	if err := out.WriteHeader(&h); err != nil {
		return err
	}
	_, err := io.CopyN(out, r, size)
	return err
}

// configuration returns the files of the configuration.
func (b backupSource) configuration() ([]member, error) {
	if b.file == "" {
		return nil, nil
	}
	folder := filepath.Join(filepath.Dir(b.file), config.Folder)
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	files := map[string]string{memberConfig + filepath.Base(b.file): b.file}
	for _, e := range entries {
		if n := e.Name(); filepath.Ext(n) == ".yaml" && !strings.HasPrefix(n, ".") {
			files[path.Join(memberConfig+config.Folder, n)] = filepath.Join(folder, n)
		}
	}
	var members []member
	for name, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		members = append(members, member{name, int64(len(text)), bytes.NewReader(text)})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return members, nil
}
