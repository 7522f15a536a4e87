package interop

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// traced returns what puts the broker under strace, which writes to the file out
// and is told with more what to look at. strace stays beside the broker (-D), so
// signals go to the broker itself; system calls that it is not asked about cost
// nothing (--seccomp-bpf).
func traced(t testing.TB, out string, more ...string) (wrapper []string) {
	t.Helper()
	stricter(t, "it writes its whole database now and then")
	strace := []string{program(t, "strace"), "-D", "-f", "--seccomp-bpf", "-e", "signal=none", "-o", out}
	if msg, err := exec.Command(strace[0], "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace processes here: %v: %s", err, msg)
	}
	return append(strace, more...)
}

// observed are the flags with which strace writes what an audit reads: whole
// buffers in hexadecimal digits, paths and addresses for descriptors. A batch of
// records must fit; what fills new files with zeros need not.
var observed = []string{
	"-yy", "-xx", "-s", "65536", "-e", "trace=write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2,fdatasync,fsync,sync_file_range,openat,creat,rename,renameat,renameat2",
}

// A call is a system call of the broker.
type call struct {
	name   string
	target string // the path or the addresses of its descriptor
	data   []byte // its buffer or path
	whole  bool   // data is not cut off
	flags  string // what follows data
	result int64  // once it has returned
	began  int    // line of the trace
}

// A witness is told of the system calls of a process, in their order.
type witness interface {
	began(c *call) error
	ended(c *call, line int) error
}

// testify reads a trace to w. An error names its line.
func testify(trace io.Reader, w witness) error {
	open := make(map[string]*call) // by thread
	lines := bufio.NewScanner(trace)
	lines.Buffer(nil, 64<<20)
	n := 1
	for ; lines.Scan(); n++ {
		if err := testifyLine(lines.Text(), n, open, w); err != nil {
			return fmt.Errorf("line %d of the trace: %w", n, err)
		}
	}
	return lines.Err()
}

// testifyLine reads one of the three kinds of lines about a system call:
//
//	THREAD NAME(ARGUMENTS) = RESULT
//	THREAD NAME(ARGUMENTS <unfinished ...>
//	THREAD <... NAME resumed>) = RESULT
//
// What stands between the last two is about other threads.
func testifyLine(line string, n int, open map[string]*call, w witness) error {
	thread, text, _ := strings.Cut(line, " ")
	text = strings.TrimLeft(text, " ")
	if strings.HasPrefix(text, "+++ ") || strings.HasPrefix(text, "--- ") || strings.HasPrefix(line, "[ Process PID=") {
		return nil
	}
	doubt := fmt.Errorf("cannot be understood: %.200s", line)
	if text, ok := strings.CutPrefix(text, "<... "); ok {
		name, text, _ := strings.Cut(text, " resumed>")
		c := open[thread]
		delete(open, thread)
		if c == nil || c.name != name || !c.returned(text) {
			return doubt
		}
		return w.ended(c, n)
	}
	name, text, ok := strings.Cut(text, "(")
	if !ok || open[thread] != nil {
		return doubt
	}
	c := &call{name: name, began: n}
	if args, ok := strings.CutSuffix(text, " <unfinished ...>"); ok {
		c.operands(args)
		open[thread] = c
		return w.began(c)
	}
	if !c.returned(text) {
		return doubt
	}
	c.operands(text[:strings.LastIndex(text, ") ")])
	return cmp.Or(w.began(c), w.ended(c, n))
}

// returned reads the result of a call, and reports whether there is one.
func (c *call) returned(text string) bool {
	_, text, ok := strings.Cut(text[max(0, strings.LastIndex(text, ") ")):], "= ")
	end := strings.IndexFunc(text, func(r rune) bool { return r != '-' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(text)
	}
	var err error
	c.result, err = strconv.ParseInt(text[:end], 10, 64)
	return ok && (err == nil || text == "?") // The process ends.
}

// operands reads FD<TARGET>, "DATA", FLAGS; DATA that is cut off has dots behind it.
func (c *call) operands(args string) {
	descriptor, rest, _ := strings.Cut(args, ", ")
	_, target, _ := strings.Cut(descriptor, "<")
	c.target = string(unhex(strings.TrimSuffix(target, ">")))
	if data, ok := strings.CutPrefix(rest, `"`); ok {
		data, rest, _ = strings.Cut(data, `"`)
		c.data, c.whole = unhex(data), !strings.HasPrefix(rest, "...")
	}
	c.flags = rest
}

// unhex returns what strace writes as \x2f\x74; other text it returns as it is.
func unhex(s string) []byte {
	digits := strings.ReplaceAll(s, `\x`, "")
	if b, err := hex.DecodeString(digits); err == nil && len(digits)*2 == len(s) {
		return b
	}
	return []byte(s)
}
