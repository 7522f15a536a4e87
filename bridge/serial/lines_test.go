package serial

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// long stands for a line that was too long, in what split returns.
const long = "(long)"

// split feeds in, cut into pieces of the given sizes in turn.
func split(s *splitter, in []byte, sizes ...int) (got []string) {
	for i := 0; len(in) > 0; i++ {
		n := len(in)
		if len(sizes) > 0 {
			n = min(n, max(1, sizes[i%len(sizes)]))
		}
		s.feed(in[:n], func(l []byte) { got = append(got, string(l)) }, func() { got = append(got, long) })
		in = in[n:]
	}
	return got
}

func TestSplitter(t *testing.T) {
	for _, tt := range []struct {
		name, delimiter, in string
		skip                bool
		want                []string
	}{
		{"lines", "\n", "a\nb\n\nc", false, []string{"a", "b"}},
		{"carriage returns", "\n", "a\r\nb\r\r\n\r\n", false, []string{"a", "b\r"}},
		{"longest", "\n", "12345678\n123456789\nb\n", false, []string{"12345678", long, "b"}},
		{"endless", "\n", "1234567890123456789012345", false, []string{long}},
		{"endless, then a line", "\n", "12345678901234567890\nok\n", false, []string{long, "ok"}},
		{"other delimiter", ";", "a;b\n;c", false, []string{"a", "b\n"}},
		{"two bytes", "\r\n", "a\rb\n\r\nc\r\n", false, []string{"a\rb\n", "c"}},
		{"two bytes, longest", "\r\n", "12345678\r\n123456789\r\nx\r\n", false, []string{"12345678", long, "x"}},
		{"equal bytes", "--", "a---b--", false, []string{"a", "-b"}},
		{"from the middle", "\n", "4}\n{}\n", true, []string{"{}"}},
		{"from the middle of a long one", "\n", "12345678901234567890\n{}\n", true, []string{"{}"}},
	} {
		for size := range 6 {
			s := &splitter{delimiter: []byte(tt.delimiter), max: 8, skip: tt.skip}
			if diff := cmp.Diff(tt.want, split(s, []byte(tt.in), size)); diff != "" {
				t.Errorf("%s in pieces of %d (-want +got):\n%s", tt.name, size, diff)
			}
			if len(s.buf) > 8+len(tt.delimiter) {
				t.Errorf("%s: %d bytes are kept", tt.name, len(s.buf))
			}
		}
	}
}

// FuzzSplitter compares with what is plain to see: all of the input, split at
// once.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\r\nbb\nccccccccccccccccccc\nd"), "\n", byte(3), byte(1))
	f.Add([]byte("a--b---c----------------------d--"), "--", byte(1), byte(4))
	f.Fuzz(func(t *testing.T, in []byte, delimiter string, first, second byte) {
		if delimiter == "" || len(delimiter) > 8 {
			t.Skip()
		}
		const most = 8
		var want []string
		pieces := bytes.Split(in, []byte(delimiter))
		for i, p := range pieces {
			whole := i < len(pieces)-1
			if whole && delimiter == "\n" {
				p = bytes.TrimSuffix(p, []byte("\r"))
			}
			switch {
			case whole && len(p) > most, !whole && len(p) > most+len(delimiter)-1:
				want = append(want, long)
			case whole && len(p) > 0:
				want = append(want, string(p))
			}
		}
		s := &splitter{delimiter: []byte(delimiter), max: most}
		if diff := cmp.Diff(want, split(s, in, int(first), int(second))); diff != "" {
			t.Errorf("split(%q, %q) (-want +got):\n%s", in, delimiter, diff)
		}
	})
}
