package frame

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// content draws what a frame of a Spec can be made of.
func content(r *rand.Rand, name string) []byte {
	n := 1 + r.IntN(40)
	switch name {
	case "sds011":
		n = 6
	case "ubx", "header": // what precedes the length belongs to it
		n += 4
	}
	b := make([]byte, n)
	for i := range b {
		switch name {
		case "nmea", "dsmr", "lines":
			b[i] = "0123456789,.-*()kWh"[r.IntN(19)]
		default:
			b[i] = byte(r.UintN(256))
		}
	}
	switch name {
	case "nmea":
		b = append(b, '*')
	case "sds011", "header", "slip", "cobs", "dle", "hdlc": // often what has to be escaped
		if r.IntN(2) == 0 {
			b[r.IntN(len(b))] = "\x00\x10\x7d\x7e\xc0\xdb\xaa\xab"[r.IntN(8)]
		}
	}
	return b
}

// mbusFrame makes a frame in which the length stands twice, which no Builder
// does.
func mbusFrame(data []byte) []byte {
	f := append([]byte{0x68, byte(len(data)), byte(len(data)), 0x68}, data...)
	return append(f, byte(add(0, data)), 0x16)
}

// builders make frames of all kinds.
var builders = func() map[string]*Builder {
	all := map[string]*Builder{}
	for name, spec := range specs {
		all[name] = NewBuilder(spec)
	}
	spec := dsmr
	spec.Trailer = 4 // a Builder knows no other than the checksum
	all["dsmr"] = NewBuilder(spec)
	return all
}()

// build makes a frame as a device sends it.
func build(t interface{ Fatalf(string, ...any) }, name string, content []byte) []byte {
	if name == "mbus" {
		return mbusFrame(content)
	}
	f, err := builders[name].Frame(content)
	if err != nil {
		t.Fatalf("%s of %q: %v", name, content, err)
	}
	if name == "dsmr" {
		f = append(f, "\r\n"...)
	}
	return f
}

// TestFramesAmongNoise is the promise: of the frames that are intact, 999 of 1000
// are found, whatever is between them.
func TestFramesAmongNoise(t *testing.T) {
	const frames = 2000
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 7))
			s, alone := NewSplitter(spec), NewSplitter(spec)
			var want, got []string
			var line []byte
			for range frames {
				line = append(line, noise(r, name)...)
				f := build(t, name, content(r, name))
				want = append(want, payload(t, alone, f))
				line = append(line, f...)
				n := 1 + r.IntN(len(line))
				got = append(got, split(s, line[:n], 1+r.IntN(30))...)
				line = append(line[:0], line[n:]...)
				if spec.Kind == Gap {
					got = append(got, split(s, line, 7)...)
					got = append(got, silence(s)...)
					line = line[:0]
				}
			}
			got = append(append(got, split(s, line, 11)...), silence(s)...)
			found, strange := compare(want, got)
			if found < frames*999/1000 {
				t.Errorf("%d of %d frames were found, want 99.9 %%", found, frames)
			}
			t.Logf("%d of %d frames were found, and %d strange ones; %+v", found, frames, strange, s.Stats())
		})
	}
}

// noise draws what is between two frames. Where a frame begins only behind what
// ends the one before, so does the noise end.
func noise(r *rand.Rand, name string) []byte {
	b := make([]byte, r.IntN(60))
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	switch name {
	case "lines":
		b = append(b, '\n')
	case "rtu":
		return nil
	}
	return b
}

// payload returns what s reads of a frame alone on the line.
func payload(t *testing.T, s *Splitter, frame []byte) string {
	t.Helper()
	got := append(split(s, frame, 5), silence(s)...)
	if len(got) != 1 {
		t.Fatalf("of the frame %x, %d are found: %q; %+v", frame, len(got), got, s.Stats())
	}
	return got[0]
}

// compare walks through both in order.
func compare(want, got []string) (found, strange int) {
	for _, g := range got {
		i := 0
		for i < len(want) && i < 50 && want[i] != g {
			i++
		}
		if i == len(want) || i == 50 {
			strange++
			continue
		}
		found++
		want = want[i+1:]
	}
	return found, strange
}

// TestNothingIsAllocated keeps the work for a byte small: what comes is looked at
// where it is.
func TestNothingIsAllocated(t *testing.T) {
	for name, spec := range specs {
		r := rand.New(rand.NewPCG(3, 3))
		var line []byte
		for len(line) < 4096 {
			line = append(append(line, noise(r, name)...), build(t, name, content(r, name))...)
		}
		s, frames := NewSplitter(spec), 0
		emit := func([]byte) { frames++ }
		feed := func() {
			s.Feed(line, epoch, emit)
			s.Expire(emit)
		}
		feed() // makes the buffers
		if n := testing.AllocsPerRun(10, feed); n != 0 {
			t.Errorf("%s: %v allocations for %d bytes, want none", name, n, len(line))
		}
		if frames == 0 && spec.Kind != Gap {
			t.Errorf("%s: no frames are found", name)
		}
	}
}

// TestBurstsCostWhatTheyHit damages frames in the middle of a burst: the rest are
// found.
func TestBurstsCostWhatTheyHit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"sds011", "pms5003", "ubx", "dsmr", "hdlc", "slip", "cobs", "sml", "dle"}).Draw(t, "kind")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		s := NewSplitter(specs[name])
		var line []byte
		for range 6 {
			line = append(line, build(t, name, content(r, name))...)
		}
		at := rapid.IntRange(0, len(line)-1).Draw(t, "at")
		line[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		split(s, line, 9)
		silence(s)
		// A flag that is damaged joins two frames, or makes two of one.
		if got := s.Stats().Frames; got < 4 || got > 6 {
			t.Fatalf("%s: with a byte damaged at %d, %d of 6 frames were found, want 5, or 4 where it parts two: %+v", name, at, got, s.Stats())
		}
	})
}

// FuzzSplitter feeds the same bytes at once and in pieces: the frames are the
// same, and what is kept is bounded.
func FuzzSplitter(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for i, name := range names() {
		one := build(f, name, content(r, name))
		in := append(noise(r, ""), one...)
		f.Add(byte(i), append(append(in, one...), one[:len(one)/2]...), byte(3), byte(1))
	}
	f.Fuzz(func(t *testing.T, kind byte, in []byte, first, second byte) {
		name := names()[int(kind)%len(specs)]
		spec := specs[name]
		spec.Max = min(spec.withDefaults().Max, 100)
		if spec.Validate() != nil || spec.Kind == Gap && len(in) > spec.Max {
			t.Skip()
		}
		whole, pieces := NewSplitter(spec), NewSplitter(spec)
		want := split(whole, in)
		got := split(pieces, in, int(first), int(second))
		if kept := len(pieces.buf); kept > 2*spec.Max+maxMarker {
			t.Errorf("%s keeps %d bytes", name, kept)
		}
		want, got = append(want, silence(whole)...), append(got, silence(pieces)...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s of %x, at once and in pieces:\n%s", name, in, diff)
		}
		if diff := cmp.Diff(whole.Stats(), pieces.Stats()); diff != "" {
			t.Errorf("%s of %x, at once and in pieces:\n%s", name, in, diff)
		}
	})
}

// FuzzBuilder reads what was built.
func FuzzBuilder(f *testing.F) {
	longest := make([]byte, 1024)
	for i := range longest {
		longest[i] = 0x1b
	}
	for i := range names() {
		f.Add(byte(i), longest)
		f.Add(byte(i), []byte("\x00\x10\x7d\x7e\xc0\xdb\xaa\xab\x1b\x1b\x1b\x1b\x1a"))
		f.Add(byte(i), []byte("123456"))
		f.Add(byte(i), []byte("123\x1b")) // sml: it joins the escape sequence that ends the file
	}
	f.Fuzz(func(t *testing.T, kind byte, in []byte) {
		name := names()[int(kind)%len(specs)]
		spec := specs[name]
		frame, err := NewBuilder(spec).Frame(in)
		if err != nil || len(in) == 0 || name == "mbus" {
			return
		}
		s := NewSplitter(spec)
		got := append(split(s, frame, 3), silence(s)...)
		if name == "nmea" { // where * stands is not known
			return
		}
		if len(got) != 1 || s.Stats().Bad() != 0 || s.Stats().NoiseBytes != 0 {
			t.Errorf("%s of %x is %x, in which %q are found: %+v", name, in, frame, got, s.Stats())
		}
	})
}

func names() []string {
	return []string{"sds011", "pms5003", "mbus", "ubx", "nmea", "dsmr", "hdlc", "dle", "slip", "cobs", "sml", "rtu", "lines", "header"}
}

// Noise of the worst sort costs no more than its share.
func TestWorkIsBounded(t *testing.T) {
	in := make([]byte, 64<<10)
	for i := range in {
		in[i] = '/'
	}
	copy(in[len(in)-7:], "!0000\r\n")
	spec := dsmr
	spec.Max = MaxFrame
	s := NewSplitter(spec)
	fed := 0
	for range 4 {
		s.Feed(in, time.Time{}, func([]byte) { t.Error("noise is a frame") })
		fed += len(in)
	}
	// Each failure is as long as what is left of the noise: they cannot be more
	// than the credit pays for.
	if s.credit < -MaxFrame || s.Stats().NoiseBytes < uint64(fed-len(in)) {
		t.Errorf("after %d bytes of noise: credit %d, %+v", fed, s.credit, s.Stats())
	}
}
