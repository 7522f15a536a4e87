package modbus

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
)

// packed are the files of templates/ in one: they repeat themselves, and take an eighth
// of their size that way (decision 13). A test says when they are no longer the same.
//
//go:embed templates.tar.gz
var packed []byte

// builtIn returns the templates that are built in, by name.
var builtIn = sync.OnceValues(func() (map[string][]byte, error) {
	all, err := unpack(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the templates that are built in: %w", err)
	}
	return all, nil
})

func unpack(r io.Reader) (map[string][]byte, error) {
	plain, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(files)
		if err != nil {
			return nil, err
		}
		all[strings.TrimSuffix(path.Base(header.Name), ".yaml")] = text
	}
}
