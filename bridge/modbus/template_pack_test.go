package modbus

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTemplatesPacked compares what is built in with the files that it is made of.
func TestTemplatesPacked(t *testing.T) {
	files := map[string][]byte{}
	names, err := filepath.Glob("templates/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("there are %d files of templates, %v", len(names), err)
	}
	for _, name := range names {
		if files[strings.TrimSuffix(filepath.Base(name), ".yaml")], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	got, err := builtIn()
	if err == nil && maps.EqualFunc(got, files, bytes.Equal) {
		return
	}
	if !*update {
		t.Fatalf("templates.tar.gz, %v, is not what is in templates: go test ./bridge/modbus -run TestTemplatesPacked -update", err)
	}
	if err := os.WriteFile("templates.tar.gz", pack(t, names), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Log("templates.tar.gz is new; the next build has it")
}

// pack leaves out of the archive what differs between machines.
func pack(t *testing.T, names []string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.Base(name), Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
