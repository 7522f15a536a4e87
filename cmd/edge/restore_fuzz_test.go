package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archive is a tar archive of members "name=text"; a link is "name->target".
func archive(members ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		name, text, _ := strings.Cut(m, "=")
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o600}
		if link, target, ok := strings.Cut(m, "->"); ok {
			h, text = &tar.Header{Typeflag: tar.TypeSymlink, Name: link, Linkname: target}, ""
		}
		_ = w.WriteHeader(h)
		_, _ = io.WriteString(w, text)
	}
	_ = w.Close()
	return b.Bytes()
}

// FuzzRestore unpacks archives that anybody may have made. What they have comes to
// lie where it is unpacked, or nowhere.
func FuzzRestore(f *testing.F) {
	const sum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
	good := `manifest.json={"format":1,"members":[{"name":"config/edge.yaml","size":1,"sha256":"` + sum + `"}]}`
	for _, seed := range [][]byte{
		archive("config/edge.yaml=x", good),
		archive("journal/segment-1.log=x", "config/conf.d/a.yaml=x", good),
		archive("config/../../x=x"), archive("/etc/passwd=x"), archive("config/conf.d->/etc", "config/conf.d/x=x"),
		archive("journal/segment-1.log=x", "journal/segment-1.log=y"),
	} {
		f.Add(seed)
	}
	if _, err := os.Stat("/dev/shm"); err == nil {
		f.Setenv("TMPDIR", "/dev/shm") // Each file is synced.
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		r := restoring{app: &app{out: io.Discard, err: io.Discard}, temp: filepath.Join(dir, "data", "temp")}
		err := r.unpack(t.Context(), packed(t, filepath.Join(dir, "backup"), data))
		if err == nil && len(r.found) != len(r.manifest.Members) {
			t.Errorf("found %v, and the manifest has %v", r.found, r.manifest.Members)
		}
		_ = os.RemoveAll(r.temp)
		left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if above, _ := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 || len(above) > 2 {
			t.Errorf("beside it there are %v, %v", left, above)
		}
	})
}

// packed is a file that has data compressed.
func packed(t *testing.T, name string, data []byte) *os.File {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	z := gzip.NewWriter(file)
	_, err = z.Write(data)
	err = errors.Join(err, z.Close())
	if _, again := file.Seek(0, io.SeekStart); err != nil || again != nil {
		t.Fatal(err, again)
	}
	return file
}
