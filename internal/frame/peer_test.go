package frame

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSLIPWithSerialport has frames go both ways between this package and the
// SLIP of serialport for Node.js.
func TestSLIPWithSerialport(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	spec := Spec{Kind: SLIP}
	build, s := NewBuilder(spec), NewSplitter(spec)
	var frames, ours []string
	for range 200 {
		b := make([]byte, 1+r.IntN(30))
		for i := range b {
			b[i] = byte(r.UintN(256))
			if r.IntN(3) == 0 {
				b[i] = "\xc0\xdb\xdc\xdd"[r.IntN(4)]
			}
		}
		f, err := build.Frame(b)
		if err != nil {
			t.Fatal(err)
		}
		frames, ours = append(frames, string(b)), append(ours, string(f))
	}
	theirs := serialport(t, "encode", frames)
	if diff := cmp.Diff(frames, split(s, []byte(strings.Join(theirs, "")), 7)); diff != "" {
		t.Errorf("what serialport has encoded (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(frames, serialport(t, "decode", ours)); diff != "" {
		t.Errorf("what serialport decodes (-want +got):\n%s", diff)
	}
}

// serialport runs SLIP in Node.js on pieces of bytes. What is empty does not count.
func serialport(t *testing.T, role string, in []string) (out []string) {
	t.Helper()
	// The script is read here, too, so that the cache of test results depends on it.
	const script, module = "testdata/slip.mjs", "../../build/peers.d/node_modules/serialport/package.json"
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(module); err != nil || missing != nil {
		t.Skip("serialport for Node.js is not installed; `make peers` does it")
	}
	if _, err := os.ReadFile(script); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, s := range in {
		text.WriteString(hex.EncodeToString([]byte(s)) + "\n")
	}
	cmd := exec.Command(node, script, role)
	cmd.Stdin, cmd.Stderr = strings.NewReader(text.String()), os.Stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, unhex(line))
		}
	}
	return out
}
