package interop

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// orderlyTrace is what strace 6.1 wrote of a broker on ext4: p0, p1 and p2 publish
// a message of QoS 1 and one of QoS 2 each, online subscribes. The sessions' begin
// and the zeros in new files were taken out.
const orderlyTrace = "testdata/orderly.strace"

var orderlyClients = map[string]string{
	"127.0.0.1:40000": "p0", "127.0.0.1:40001": "p1", "127.0.0.1:40002": "p2", "127.0.0.1:40003": "online",
}

// An edit changes the lines of a trace, which are counted from 1.
type edit func(lines []string) []string

func drop(from, to int) edit {
	return func(lines []string) []string { return slices.Delete(lines, from-1, to) }
}

// move puts a line above another one.
func move(line, above int) edit {
	return func(lines []string) []string {
		text := lines[line-1]
		if line < above {
			above--
		}
		return slices.Insert(slices.Delete(lines, line-1, line), above-1, text)
	}
}

func change(line int, from, to string) edit {
	return func(lines []string) []string {
		if !strings.Contains(lines[line-1], from) {
			panic("there is no " + from + " in " + lines[line-1])
		}
		lines[line-1] = strings.Replace(lines[line-1], from, to, 1)
		return lines
	}
}

func insert(above int, text string) edit {
	return func(lines []string) []string { return slices.Insert(lines, above-1, text) }
}

// TestAuditor breaks the order in a trace in all ways that come to mind; the audit
// must find each.
func TestAuditor(t *testing.T) {
	t.Parallel()
	const p0, p1 = "<TCP:[127.0.0.1:1883->127.0.0.1:40000]>", "<TCP:[127.0.0.1:1883->127.0.0.1:40001]>"
	for _, c := range []struct {
		name   string
		edits  []edit
		broken int
	}{
		{"as it was", nil, 0},
		{"an acknowledgement in two parts", []edit{change(9, "= 8", "= 3"), insert(10, `104 write(19`+p1+`, "\x01\x50\x02\x00\x02", 5) = 5`)}, 0},
		{"a flush that is interrupted", []edit{insert(5, `101 --- SIGURG {si_signo=SIGURG} ---`)}, 0},
		{"no flush", []edit{drop(5, 5)}, 4},
		{"no flush of the last records", []edit{drop(26, 26), drop(28, 28)}, 2},
		{"a flush of another file", []edit{change(5, `\x32\x2e\x6c\x6f\x67`, `\x33\x2e\x6c\x6f\x67`)}, 4},
		{"a flush that failed", []edit{change(13, "= 0", "= -1 EIO (Input/output error)")}, 2},
		{"a flush that failed, and then one that did not", []edit{
			change(13, "= 0", "= -1 EIO (Input/output error)"),
			insert(14, `101 fdatasync(13<\x2f\x76\x61\x72\x2f\x6c\x69\x62\x2f\x65\x64\x67\x65\x2f\x6a\x6f\x75\x72\x6e\x61\x6c\x2f\x73\x65\x67\x6d\x65\x6e\x74\x2d\x30\x30\x30\x32\x2e\x6c\x6f\x67>) = 0`),
		}, 2},
		{"acknowledged during the flush", []edit{change(20, "103 ", "106 "), move(20, 13)}, 2},
		{"acknowledged before the flush", []edit{move(20, 10)}, 2},
		{"acknowledged before the write", []edit{move(20, 6)}, 2},
		{"the first byte of an acknowledgement before the flush", []edit{
			insert(13, `106 write(18`+p0+`, "\x40", 1) = 1`), change(21, `"\x40`, `"`), change(21, ", 8) = 8", ", 7) = 7"),
		}, 1},
		{"written during the flush", []edit{change(10, "101 ", "105 "), change(13, "101 ", "105 "), move(8, 11)}, 2},
		{"written in part", []edit{change(8, "= 130", "= 70")}, 1},
		{"the name of the file is not safe", []edit{drop(2, 3)}, 12},
		{"the name of the file was not there yet", []edit{change(1, "101 ", "106 "), move(1, 3)}, 12},
		{"a packet id that nobody used", []edit{change(7, `\x00\x01`, `\x00\x09`)}, 1},
		{"a damaged record", []edit{change(15, `"\xce`, `"\xcf`)}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAudit(orderlyClients)
			must(t, testify(strings.NewReader(edited(t, c.edits...)), a))
			kept := a.kept[cPUBACK] + a.kept[cPUBREC] + a.kept[cPUBCOMP] + a.kept[cPUBREL]
			if len(a.broken) != c.broken || kept != 12-c.broken {
				t.Errorf("%d broken promises and %d kept ones, want %d and %d:\n%s",
					len(a.broken), kept, c.broken, 12-c.broken, strings.Join(a.broken, "\n"))
			}
		})
	}
}

// TestAuditorDoubts gives the audit what it cannot judge; it must say so.
func TestAuditorDoubts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		edit       edit
	}{
		{"records that are cut off", "-s must be larger", change(4, `", 459`, `"..., 459`)},
		{"packets that are cut off", "-s must be larger", change(7, `", 8`, `"..., 8`)},
		{"a call that it does not know", "what writev does", insert(5, `101 writev(13, [{iov_base="\x00", iov_len=1}], 1) = 1`)},
		{"a line that is none", "cannot be understood", insert(5, `what is this`)},
		{"the end of a call without a beginning", "cannot be understood", drop(10, 10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := testify(strings.NewReader(edited(t, c.edit)), newAudit(orderlyClients))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the audit said %v, want something about %q", err, c.want)
			}
		})
	}
}

func edited(t testing.TB, edits ...edit) string {
	t.Helper()
	text, err := os.ReadFile(orderlyTrace)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, edit := range edits {
		lines = edit(lines)
	}
	return strings.Join(lines, "\n")
}
