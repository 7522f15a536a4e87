package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	say := func(text string, err error) func(*os.File) error {
		return func(f *os.File) error {
			_, _ = f.WriteString(text)
			return err
		}
	}
	failed := errors.New("no more")
	for _, tt := range []struct {
		text string
		err  error
		want string
	}{
		{"one", nil, "one"},
		{"two, in pa", failed, "one"},
		{"three", nil, "three"},
	} {
		if err := Write(name, say(tt.text, tt.err)); !errors.Is(err, tt.err) {
			t.Errorf("write %q: %v, want %v", tt.text, err, tt.err)
		}
		if got, err := os.ReadFile(name); string(got) != tt.want || err != nil {
			t.Errorf("after %q there is %q, %v", tt.text, got, err)
		}
		if st, err := os.Stat(name); err != nil || st.Mode() != 0o600 {
			t.Errorf("its mode is %v, %v", st.Mode(), err)
		}
		if names, err := os.ReadDir(filepath.Dir(name)); len(names) != 1 || err != nil {
			t.Errorf("%v are left, %v", names, err)
		}
	}
	if err := Write(filepath.Join(name, "below"), say("x", nil)); err == nil {
		t.Error("a file was written below a file")
	}
}
