package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edge/broker"
	"edge/internal/config"
	"edge/internal/wholefile"
)

func (a *app) restoreCommand() *cobra.Command {
	var file, data string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a hub of a backup",
		Example: `  edge restore hub.edge --data /var/lib/edge -c /etc/edge/edge.yaml
  edge restore hub.edge                    the store only`,
		Long: `The hub must be stopped. First the whole backup is checked, and unpacked beside the
store; then it takes the store's place. What was there is moved aside and kept: its
name ends in .before-restore-TIME. With -c the configuration is restored, to that
place; without it, the configuration is left as it is.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := restoring{app: a, data: dataOf(file, data), config: file}
			return r.run(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "where to put the configuration")
	cmd.Flags().StringVar(&data, "data", "", "the hub's data directory")
	return cmd
}

// A restoring is one run of `edge restore`.
type restoring struct {
	*app
	data, config string

	temp     string // where the backup is unpacked, in data
	manifest manifest
	found    []checksum
	suffix   string // of what is moved aside
}

func (r *restoring) run(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer f.Close()
	lock, err := openDataDir(r.data)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer lock.Close()
	r.suffix = ".before-restore-" + time.Now().UTC().Format("20060102T150405")
	if r.temp, err = os.MkdirTemp(r.data, "restore-"); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(r.temp)
	if err := r.unpack(ctx, f); err != nil {
		return fmt.Errorf("%s cannot be restored, and nothing was changed: %w", file, err)
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("%s cannot be restored, and nothing was changed: %w", file, err)
	}
	m := &r.manifest
	fmt.Fprintf(r.out, "%s: hub %s, %s, by edge %s\n", file, m.Node, m.Time.Format(time.RFC3339), m.Version)
	if err := r.place(filepath.Join(r.temp, memberJournal), storeDir(r.data)); err != nil {
		return fmt.Errorf("restore the store: %w", err)
	}
	return r.placeConfig()
}

// unpack unpacks the backup into r.temp, and checks that it is complete.
func (r *restoring) unpack(ctx context.Context, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	bar := r.progress("checking", info.Size())
	defer bar.end()
	zip, err := gzip.NewReader(io.TeeReader(f, bar))
	if err != nil {
		return fmt.Errorf("it is not a backup: %w", err)
	}
	for _, dir := range []string{memberJournal, memberConfig + config.Folder} {
		if err := os.MkdirAll(filepath.Join(r.temp, dir), 0o700); err != nil {
			return err
		}
	}
	in := tar.NewReader(zip)
	for err == nil {
		err = errors.Join(ctx.Err(), r.next(in))
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return r.complete()
}

// validMember is what may be in a backup: nothing that names another place.
var validMember = regexp.MustCompile(`^(journal/segment-[0-9]+\.log|config/(conf\.d/)?[^/.][^/]*)$`)

// maxManifest is far more than a manifest needs.
const maxManifest = 16 << 20

// next unpacks the next member. io.EOF is the end.
func (r *restoring) next(in *tar.Reader) error {
	h, err := in.Next()
	switch {
	case err != nil:
		return err
	case h.Name == memberManifest:
		return json.NewDecoder(io.LimitReader(in, maxManifest)).Decode(&r.manifest)
	case h.Typeflag != tar.TypeReg || !validMember.MatchString(h.Name):
		return fmt.Errorf("it has a member %q, which no backup has", h.Name)
	}
	f, err := os.OpenFile(filepath.Join(r.temp, h.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(f, io.TeeReader(in, sum))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return noEOF(err)
	}
	r.found = append(r.found, checksum{h.Name, n, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// noEOF keeps a member that is cut short from looking like the end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// complete compares what was unpacked with what the manifest says.
func (r *restoring) complete() error {
	m := &r.manifest
	switch {
	case m.Format == 0:
		return errors.New("its end is missing")
	case m.Format > backupFormat:
		return fmt.Errorf("edge %s made it, which is newer than this one; use that", m.Version)
	}
	for _, c := range m.Members {
		if !slices.Contains(r.found, c) {
			return fmt.Errorf("%s in it is damaged", c.Name)
		}
	}
	if len(r.found) != len(m.Members) {
		return fmt.Errorf("it has %d files, and its manifest says %d", len(r.found), len(m.Members))
	}
	return nil
}

// check reads the store as a hub would. What was damaged before the backup was
// made is no reason to have nothing.
func (r *restoring) check() error {
	s, err := broker.ReadStore(filepath.Join(r.temp, memberJournal))
	if err != nil {
		return err
	}
	defer s.Close()
	held := s.Held()
	fmt.Fprintf(r.out, "in the store: %d sessions, %d queued messages, %d retained\n", held.Sessions, held.Queued+held.Inflight, held.Retained)
	if s.Report.Lost > 0 {
		fmt.Fprintf(r.err, "%s the store was damaged when the backup was made: %d records are lost; edge store check names them\n",
			r.paint(r.err, yellow, "edge:"), s.Report.Lost)
	}
	return nil
}

// place puts what lies at from to its place, and what is there aside.
func (r *restoring) place(from, to string) error {
	err := os.Rename(to, to+r.suffix)
	switch {
	case err == nil:
		fmt.Fprintf(r.out, "%s is kept as %s\n", to, to+r.suffix)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := errors.Join(wholefile.Sync(from), os.Rename(from, to), wholefile.Sync(filepath.Dir(to))); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%s is restored\n", to)
	return nil
}

// placeConfig puts the files of the configuration where r.config says.
func (r *restoring) placeConfig() error {
	var names []string
	for _, c := range r.manifest.Members {
		if name, ok := strings.CutPrefix(c.Name, memberConfig); ok {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		fmt.Fprintln(r.out, "the hub had no configuration file")
		return nil
	case r.config == "":
		fmt.Fprintf(r.out, "the configuration (it was %s) is not restored; say where to put it with -c\n", r.manifest.Config)
		return nil
	}
	folder := filepath.Join(filepath.Dir(r.config), config.Folder)
	if err := os.Rename(folder, folder+r.suffix); err == nil {
		fmt.Fprintf(r.out, "%s is kept as %s\n", folder, folder+r.suffix)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore the configuration: %w", err)
	}
	for _, name := range names {
		to := r.config
		if strings.HasPrefix(name, config.Folder+"/") {
			to = filepath.Join(filepath.Dir(r.config), name)
		}
		if err := r.placeFile(filepath.Join(r.temp, memberConfig, name), to); err != nil {
			return fmt.Errorf("restore the configuration: %w", err)
		}
	}
	return nil
}

// placeFile is place for one file, from another file system perhaps.
func (r *restoring) placeFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	part := to + ".restored"
	if err := wholefile.Write(part, func(f *os.File) error { _, err := f.Write(text); return err }); err != nil {
		return err
	}
	return r.place(part, to)
}
