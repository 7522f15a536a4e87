package initramfs_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"edge/test/rig/initramfs"
)

// The archive is read here as the kernel does it: numbers of eight hexadecimal
// digits, names and data padded to four bytes.
func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w := initramfs.NewWriter(&b)
	w.Device("dev/console", 5, 1)
	w.File("init", []byte("hello"))
	w.File("modules/a.ko", []byte("four"))
	w.Dir("modules")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := `
dev 40755 0:0 ""
dev/console 20600 5:1 ""
init 100755 0:0 "hello"
modules 40755 0:0 ""
modules/a.ko 100755 0:0 "four"
TRAILER!!! 0 0:0 ""
`
	if got := list(t, b.Bytes()); got != want {
		t.Errorf("the archive has %s\nwant %s", got, want)
	}
}

func list(t *testing.T, archive []byte) string {
	t.Helper()
	var list strings.Builder
	list.WriteByte('\n')
	at := 0
	take := func(n int) []byte {
		if at+n > len(archive) {
			t.Fatalf("the archive has %d bytes, want at least %d", len(archive), at+n)
		}
		b := archive[at : at+n]
		at += (n + 3) &^ 3
		return b
	}
	for at < len(archive) {
		var ino, mode, uid, gid, nlink, mtime, size, major, minor, rmajor, rminor, name, check int
		head := archive[at:min(at+110, len(archive))]
		format := "070701" + strings.Repeat("%08X", 13)
		if _, err := fmt.Sscanf(string(head), format, &ino, &mode, &uid, &gid, &nlink, &mtime, &size,
			&major, &minor, &rmajor, &rminor, &name, &check); err != nil {
			t.Fatalf("header %q: %v", head, err)
		}
		entry := take(110 + name)
		fmt.Fprintf(&list, "%s %o %d:%d %q\n", bytes.TrimSuffix(entry[110:], []byte{0}), mode, rmajor, rminor, take(size))
	}
	return list.String()
}
