package login

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

func TestMemorySurvivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	boot := func() *Memory {
		m := NewMemory()
		if err := m.open(dir); err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := boot()
	right := m.mark("anna", "password", "hash")
	m.add("anna", m.mark("anna", "old", "hash"))
	m.add("anna", right)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, memoryName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, make([]byte, 40)...), 0o600); err != nil {
		t.Fatal(err)
	}
	m = boot()
	defer m.Close()
	if m.mark("anna", "password", "hash") != right || !m.has("anna", right) || m.has("otto", right) || m.has("anna", m.mark("anna", "old", "hash")) {
		t.Error("after the restart it remembers something else")
	}
	data, err := os.ReadFile(path)
	if want := len(memoryMagic) + keySize + 64; err != nil || len(data) != want {
		t.Errorf("%d bytes, want %d: %v", len(data), want, err)
	}
	if info, _ := os.Stat(path); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if NewMemory().has("anna", right) {
		t.Error("a new key knows an old mark")
	}
	if a, b := m.mark("ab", "c"), m.mark("a", "bc"); a == b {
		t.Error("marks do not tell their parts apart")
	}
}

// After a restart a thousand devices with passwords that people chose come back
// without a slow hash; at 30 ms each they would need half a minute.
func TestAThousandComeBackAtOnce(t *testing.T) {
	dir := t.TempDir()
	hash := HashPassword(NewSecret("same"), quick)
	var users Users
	for i := range 1000 {
		users = append(users, User{Name: fmt.Sprintf("device%03d", i), Hash: hash})
	}
	for restart, want := range []uint64{1000, 0} {
		synctest.Test(t, func(t *testing.T) {
			m := NewMemory()
			if err := m.open(dir); err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			v := newVerifier(users, m, quick)
			for _, u := range users {
				if err := v.try(t, u.Name, "same", home); err != nil {
					t.Fatal(err)
				}
			}
			if n := v.Stats().Hashed; n != want {
				t.Errorf("%d slow hashes after %d restarts, want %d", n, restart, want)
			}
		})
	}
}

func TestMemoryIsInNoFolderThatIsNotItsOwn(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{open: "mode 0700", "/proc/self/fd": "not in RAM", "/proc/self/fd/x": "logins"} {
		m, err := OpenMemory(dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
		m.add("anna", mark{1})
		if !m.has("anna", mark{1}) {
			t.Errorf("%s: it does not even remember in the process", dir)
		}
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte(memoryMagic))
	f.Add(NewMemory().image())
	f.Fuzz(func(t *testing.T, data []byte) {
		m := NewMemory()
		m.read(data)
		again := NewMemory()
		again.read(m.image())
		if len(m.key) != keySize || len(again.right) != len(m.right) || string(again.key) != string(m.key) {
			t.Errorf("%d logins become %d", len(m.right), len(again.right))
		}
	})
}
