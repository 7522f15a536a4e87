package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCut is TestKill where the power fails: the file system under the journal is
// shut down without a flush at a random moment, the broker a moment later, and what
// comes back is what the disk had. EDGE_CUT_ROUNDS says how often.
func TestCut(t *testing.T) {
	t.Parallel()
	stricter(t, "it has acknowledged messages in memory alone")
	v := newVolume(t, 512<<20)
	s := startWith(t, func(l *listeners) { l.dir = v.dir })
	cuts, gone := 0, 0
	k := newKilling(t, s, nil)
	k.die = func(s *server, t testing.TB) {
		witness := filepath.Join(v.dir, "not flushed")
		must(t, os.WriteFile(witness, []byte("not flushed"), 0o600))
		v.cut(t)
		elapse(time.Duration(k.rand.IntN(30)) * time.Millisecond) // The broker sees a disk that takes nothing.
		s.kill(t)
		v.unmount(t)
		v.mount(t)
		cuts++
		if b, err := os.ReadFile(witness); err != nil || len(b) == 0 {
			gone++
		}
	}
	k.run(t, rounds(t, "EDGE_CUT_ROUNDS", 10))
	if gone == 0 {
		t.Error("a file that was not flushed survived each cut: this is no power cut")
	}
	t.Logf("%d cuts; what was written and not flushed just before was gone after %d of them", cuts, gone)
}

// A volume is a file system of its own, ext4 in a file.
type volume struct {
	image, dir string
}

// newVolume makes a file system of so many bytes and mounts it, until the test
// ends. That needs root, and loop devices.
func newVolume(t testing.TB, size int64) *volume {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a file system")
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		mkfs = program(t, "/usr/sbin/mkfs.ext4") // where Debian has it, outside a user's PATH
	}
	v := &volume{image: filepath.Join(t.TempDir(), "image"), dir: t.TempDir()}
	must(t, os.WriteFile(v.image, nil, 0o600))
	must(t, os.Truncate(v.image, size))
	if out, err := exec.Command(mkfs, "-q", "-F", v.image).CombinedOutput(); err != nil {
		t.Fatalf("make a file system: %v\n%s", err, out)
	}
	if out, err := v.tryMount(); err != nil {
		t.Skipf("a file system in a file cannot be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(v.dir, 0); err != nil {
			_ = unix.Unmount(v.dir, unix.MNT_DETACH) // The loop device goes with it (see mount(8), loop).
			t.Errorf("unmount %s: %v", v.dir, err)
		}
	})
	return v
}

func (v *volume) tryMount() (out []byte, err error) {
	return exec.Command("mount", "-t", "ext4", "-o", "loop", v.image, v.dir).CombinedOutput()
}

func (v *volume) mount(t testing.TB) {
	t.Helper()
	if out, err := v.tryMount(); err != nil {
		t.Fatalf("mount the file system again: %v\n%s", err, out)
	}
}

func (v *volume) unmount(t testing.TB) {
	t.Helper()
	if err := unix.Unmount(v.dir, 0); err != nil {
		t.Fatalf("unmount the file system: %v", err)
	}
}

// What include/uapi/linux/fs.h and fs/ext4/ext4.h of Linux have for this:
// _IOR('X', 125, __u32) and EXT4_GOING_FLAGS_NOLOGFLUSH.
const (
	ioctlShutdown = 0x8004587d
	noLogFlush    = 2
)

// cut shuts the file system down. What it has not written by then it never will,
// not even its own journal.
func (v *volume) cut(t testing.TB) {
	t.Helper()
	f, err := os.Open(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ioctlShutdown, noLogFlush); err != nil {
		t.Fatalf("shut the file system down: %v", err)
	}
}
