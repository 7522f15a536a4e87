package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"edge/broker"
	"edge/internal/wholefile"
)

// A backup is a gzip-compressed tar archive: the files of the configuration, the
// files of the journal, and at last the manifest, which vouches for the others.
const (
	memberConfig   = "config/"
	memberJournal  = "journal/"
	memberManifest = "manifest.json"
	backupFormat   = 1
)

// A manifest says what a backup has.
type manifest struct {
	Format  int        `json:"format"`
	Version string     `json:"version"` // of edge
	Node    string     `json:"node"`
	Time    time.Time  `json:"time"`
	Config  string     `json:"config,omitempty"` // where the configuration was
	Members []checksum `json:"members"`
}

type checksum struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (a *app) backupCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the configuration and the store into one file, while the hub runs",
		Example: `  edge backup hub.edge
  edge backup - | ssh nas 'cat > hub.edge'`,
		Long: `The running hub hands out its store as it is at one moment: everything that was
acknowledged before is in it. A hub that is stopped is backed up, too. FILE is there
when it is complete, and only its owner can read it: it has messages, and whatever
the configuration says. Users, certificates and keys, which lie elsewhere, are not in it.
edge restore makes a hub of it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.backup(cmd.Context(), p, args[0]) },
	}
	p.flags(cmd.Flags())
	return cmd
}

func (a *app) backup(ctx context.Context, p place, file string) error {
	var m manifest
	write := func(w io.Writer) error {
		return takeBackup(ctx, p, func(r *bufio.Reader) (err error) {
			if m, err = a.pack(w, r); err != nil {
				return fmt.Errorf("take what the hub hands out: %w", noEOF(err))
			}
			return nil
		})
	}
	if file == "-" {
		if isTerminal(a.out) {
			return usageError{errors.New("a backup is nothing to read; write it into a file or a pipe")}
		}
		return write(a.out)
	}
	if err := wholefile.Write(file, func(f *os.File) error { return write(f) }); err != nil {
		return err
	}
	var bytes int64
	for _, c := range m.Members {
		bytes += c.Size
	}
	fmt.Fprintf(a.out, "%s: hub %s, %d files, %s\n", file, m.Node, len(m.Members), byteText(bytes))
	return nil
}

// takeBackup calls use with what a backupSource sends: that of the running hub or,
// if none runs, one of this process.
func takeBackup(ctx context.Context, p place, use func(*bufio.Reader) error) error {
	err := converse(ctx, p.dir(), "backup", use)
	if _, running := errors.AsType[noHubError](err); !running {
		return err
	}
	offline := readStore(p.dir(), func(s *broker.Store) error { return backupStopped(p, s, use) })
	if offline != nil {
		return fmt.Errorf("no hub runs, and %w", offline)
	}
	return nil
}

// backupStopped is takeBackup for a hub that does not run.
func backupStopped(p place, s *broker.Store, use func(*bufio.Reader) error) error {
	source := backupSource{file: p.config(), snapshot: s.Snapshot}
	if plan, _ := readPlan(source.file, nil); plan != nil {
		source.node = plan.Node
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(source.send(w))
	}()
	err := use(bufio.NewReader(r))
	r.CloseWithError(err)
	<-done
	return err
}

// pack writes the backup that r sends, and returns its manifest.
func (a *app) pack(w io.Writer, r *bufio.Reader) (manifest, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return manifest{}, err
	}
	var o offer
	if err := json.Unmarshal(line, &o); err != nil {
		return manifest{}, err
	}
	if !o.OK {
		return manifest{}, errors.New(o.Error)
	}
	m := manifest{Format: backupFormat, Version: buildInfo().Version, Node: o.Node, Time: time.Now().UTC(), Config: o.Config}
	zip, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // The level is one that there is.
	out := tar.NewWriter(zip)
	bar := a.progress("backing up", o.Bytes)
	defer bar.end()
	if err := m.copy(out, tar.NewReader(io.TeeReader(r, bar))); err != nil {
		return m, err
	}
	if len(m.Members) != o.Members {
		return m, fmt.Errorf("the hub sent %d of %d files, and ended", len(m.Members), o.Members)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	return m, errors.Join(addMember(out, memberManifest, int64(len(text)), bytes.NewReader(text)), out.Close(), zip.Close())
}

// copy writes all members of in to out, and notes them in m.
func (m *manifest) copy(out *tar.Writer, in *tar.Reader) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		sum := sha256.New()
		if err := addMember(out, h.Name, h.Size, io.TeeReader(in, sum)); err != nil {
			return err
		}
		m.Members = append(m.Members, checksum{h.Name, h.Size, hex.EncodeToString(sum.Sum(nil))})
	}
}
