package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// children returns the processes that a process has started and that are there still.
func children(t *testing.T, pid int) (all []int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // The thread has ended.
		}
		for word := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, child)
		}
	}
	return all
}

// guardOf returns the guard that a hub has started.
func guardOf(t *testing.T, hub int) int {
	t.Helper()
	all := children(t, hub)
	if len(all) != 1 {
		t.Fatalf("the hub has the children %v, want its guard", all)
	}
	return all[0]
}

// mayHurry reports whether this test could give a process of its own what a guard wants.
func mayHurry(t *testing.T) bool {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	rr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	oom := fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid)
	return unix.SchedSetAttr(cmd.Process.Pid, rr, 0) == nil && os.WriteFile(oom, []byte("-900"), 0) == nil
}

// A guard that a hub starts does what it is for with the rights that the hub gives up.
func TestGuardOfHub(t *testing.T) {
	rootOnly(t)
	t.Setenv("RUNTIME_DIRECTORY", "")
	openDir(t) // so that nobody can run the program
	edge := program(t)
	t.Run("nobody's hurries", func(t *testing.T) { guardHurries(t, edge, "nobody", nobody) })
	t.Run("root's hurries", func(t *testing.T) { guardHurries(t, edge, "root", 0) })
	t.Run("may not hurry", func(t *testing.T) { guardMayNot(t, edge) })
	t.Run("kills", func(t *testing.T) { guardKills(t, edge) })
	t.Run("ends when the hub cannot start", func(t *testing.T) { guardEnds(t, edge) })
}

// guardHurries looks at a guard from outside: it is the hub's user and may do nothing that
// others may not, but goes before them.
func guardHurries(t *testing.T, edge, user string, uid int) {
	data := filepath.Join(openDir(t), "data")
	h := startAs(t, 0, edge, "run", "--guard", "--user", user, "--allow-anonymous",
		"--listen", "tcp://127.0.0.1:0", "--data", data)
	h.is(uid, noCapability, true)
	g := &started{t: t, cmd: &exec.Cmd{Process: &os.Process{Pid: guardOf(t, h.cmd.Process.Pid)}}}
	g.is(uid, noCapability, true)
	refused := strings.Contains(h.log.String(), "the guard may be late")
	if may := mayHurry(t); refused == may {
		t.Errorf("it is said that the guard may be late: %t, though this machine lets it hurry: %t", refused, may)
	} else if may {
		g.hurries()
	}
	for _, name := range []string{"guard.sock", "guard.sock.lock"} {
		if st, err := os.Stat(filepath.Join(data, name)); err != nil || int(st.Sys().(*syscall.Stat_t).Uid) != uid {
			t.Errorf("%s is not user %d's: %+v, %v", name, uid, st, err)
		}
	}
}

// guardMayNot has a guard without rights say once what it may not, and what to do about it.
func guardMayNot(t *testing.T, edge string) {
	dir := openDir(t)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	h := startAs(t, nobody, edge, "run", "--guard", "--allow-anonymous", "--listen", "tcp://127.0.0.1:0", "--data", dir)
	said := regexp.MustCompile(`"level":"INFO","msg":"[^"]*the guard may be late; it is not when root starts it, or edge-guard.service"`)
	if n := len(said.FindAllString(h.log.String(), -1)); n != 1 {
		t.Errorf("a guard without rights says %d times that it may be late, want once, at info:\n%s", n, &h.log)
	}
}

// hurries checks that each thread goes before those of other processes, that memory is
// pinned, and that others are ended first for want of it.
func (h *started) hurries() {
	h.t.Helper()
	pid := h.cmd.Process.Pid
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) < 3 {
		h.t.Fatalf("threads of the guard: %v, %v", threads, err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			h.t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(id, 0)
		if err == nil && (attr.Policy != unix.SCHED_RR || attr.Priority != 1) {
			h.t.Errorf("a thread of the guard has policy %d and priority %d, want %d and 1", attr.Policy, attr.Priority, unix.SCHED_RR)
		}
	}
	if locked := h.status()[0]["VmLck"]; locked == "" || locked == "0 kB" {
		h.t.Errorf("%q of the guard's memory is pinned", locked)
	}
	oom, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	if err != nil || strings.TrimSpace(string(oom)) != "-900" {
		h.t.Errorf("oom_score_adj of the guard is %q, %v, want -900", oom, err)
	}
}

// guardKills has a guard that has given its rights up kill its hub: both are one user.
func guardKills(t *testing.T, edge string) {
	dir := openDir(t)
	file, data := filepath.Join(dir, "edge.yaml"), filepath.Join(dir, "data")
	write(t, file, "user: nobody\nguard: {enabled: true, patience: 100ms, kill_after: 100ms}\nbroker: {listeners: [{url: 'tcp://127.0.0.1:0'}]}\n")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var log output
	hub := exec.CommandContext(ctx, edge, "run", "--guard", "-c", file, "--data", data)
	hub.Stderr = &log
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	if !log.wait(regexp.MustCompile("outputs are guarded"), patience) {
		t.Errorf("the hub has no guard:\n%s", &log)
	}
	g := guardOf(t, hub.Process.Pid)
	defer func() { _ = syscall.Kill(g, syscall.SIGKILL) }()
	if err := hub.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
	// The guard has the other end of stderr, too: only what the hub's end says counts.
	state, err := hub.Process.Wait()
	if err != nil || ctx.Err() != nil || state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("a hub that hangs ends by %v, %v, %v, want the guard's SIGKILL\n%s", state, err, ctx.Err(), &log)
	}
	if !log.wait(regexp.MustCompile("the main process is killed, since it hangs"), patience) {
		t.Errorf("the guard does not say that it has killed:\n%s", &log)
	}
}

// guardEnds has a hub that cannot start not leave its guard behind.
func guardEnds(t *testing.T, edge string) {
	data := filepath.Join(openDir(t), "data")
	if err := os.Mkdir(data, 0o755); err != nil || os.Chown(data, nobody, nobody) != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(edge, "run", "--guard", "--listen", "tcp://127.0.0.1:0", "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "belongs to user nobody") {
		t.Errorf("root has started a hub in a directory of nobody's: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "the guard has ended") {
		t.Errorf("the guard goes on:\n%s", out)
	}
}
