package serial

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edge/internal/frame"
)

func TestExpect(t *testing.T) {
	for _, tt := range []struct {
		expect *Expect
		frame  string
		want   bool
	}{
		{nil, "", true},
		{&Expect{}, "anything", true},
		{&Expect{Prefix: "+CSQ"}, "+CSQ: 17,99", true},
		{&Expect{Prefix: "+CSQ"}, "OK", false},
		{&Expect{Regex: `^T=\d+$`}, "T=21", true},
		{&Expect{Regex: `^T=\d+$`}, "T=?", false},
		{&Expect{Mask: "ff 86 ?? 60"}, "\xff\x86\x02\x60\x47", true},
		{&Expect{Mask: "ff 86 ?? 60"}, "\xff\x86\x02\x61", false},
		{&Expect{Mask: "ff86"}, "\xff", false},
		{&Expect{Prefix: "a", Mask: "??62", Regex: "c$"}, "abc", true},
		{&Expect{Prefix: "a", Mask: "??62", Regex: "c$"}, "abd", false},
	} {
		match, err := tt.expect.compile()
		if err != nil || match([]byte(tt.frame)) != tt.want {
			t.Errorf("%+v matches %q: %t, %v, want %t", tt.expect, tt.frame, !tt.want, err, tt.want)
		}
	}
}

// FuzzMask reads masks and compares with the bytes that they were made of.
func FuzzMask(f *testing.F) {
	f.Add("ff 86 ??", []byte{0xff, 0x86, 1})
	f.Add("f", []byte("f"))
	f.Fuzz(func(t *testing.T, text string, frame []byte) {
		m, err := parseMask(text)
		if err != nil {
			return
		}
		if m.begins(frame) && len(frame) < len(m) {
			t.Errorf("%q begins %x, which is shorter", text, frame)
		}
		own := make([]byte, len(m))
		for i, b := range m {
			own[i] = byte(b)
		}
		if !m.begins(own) {
			t.Errorf("%q does not begin %x, of which it was made", text, own)
		}
	})
}

func TestPollerIsFairAndLate(t *testing.T) {
	request := func(id string, every time.Duration) (r Request) {
		r.SetDefaults()
		r.ID, r.Every = id, every
		return r
	}
	if r, _ := newPoller(nil, epoch).due(); r != nil {
		t.Errorf("due = %+v of no requests", r)
	}
	p := newPoller([]Request{request("a", time.Second), request("b", 2*time.Second), request("c", time.Second)}, epoch)
	var made []string
	for now := epoch; now.Before(at(10)); {
		r, when := p.due()
		if when.After(now) {
			now = when
		}
		now = now.Add(900 * time.Millisecond) // each takes its time: the bus is too slow for all
		made = append(made, r.ID)
		r.made(true, now)
	}
	// 2.5 requests a second are wanted, 1.1 are possible: each gets its turn.
	for _, id := range []string{"a", "b", "c"} {
		n := 0
		for _, m := range made {
			if m == id {
				n++
			}
		}
		if n < 3 {
			t.Errorf("%s was made %d times of %d: %v", id, n, len(made), made)
		}
	}
	if slices.Compare(made[:3], []string{"a", "b", "c"}) != 0 {
		t.Errorf("at first %v are made, want a, b, c", made[:3])
	}

	r := p.find("a")
	if r.tries() != 3 {
		t.Errorf("%d tries, want 3", r.tries())
	}
	if r.made(false, at(20)); r.tries() != 1 {
		t.Errorf("%d tries of a stick that did not answer, want 1", r.tries())
	}
	if r.made(true, at(21)); r.tries() != 3 {
		t.Errorf("%d tries when it answers again, want 3", r.tries())
	}
}

// TestNoRequestStarves is a model: however long exchanges take, none is made
// before its time, and none waits for more than one of each of the others, and the
// one that was under way.
func TestNoRequestStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		periods := rapid.SliceOfN(rapid.IntRange(10, 500), 1, 6).Draw(t, "periods")
		var requests []Request
		for i, ms := range periods {
			requests = append(requests, Request{ID: fmt.Sprint(i), Every: time.Duration(ms) * time.Millisecond})
		}
		p := newPoller(requests, epoch)
		began := make([]time.Time, 0, 200) // of each exchange
		now := epoch
		for range 200 {
			r, due := p.due()
			if due.After(now) {
				now = due
			}
			waited := 0
			for i := len(began) - 1; i >= 0 && began[i].After(due); i-- {
				waited++
			}
			if waited > len(periods) {
				t.Fatalf("request %s, due at %v, waited for %d exchanges of %d requests", r.ID, due.Sub(epoch), waited, len(periods))
			}
			began = append(began, now)
			now = now.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "ms")) * time.Millisecond)
			r.made(rapid.Bool().Draw(t, "answered"), now)
			if r.next.Before(due.Add(r.Every)) {
				t.Fatalf("request %s, due at %v every %v, is due again at %v", r.ID, due.Sub(epoch), r.Every, r.next.Sub(epoch))
			}
		}
	})
}

func TestRequestsAreChecked(t *testing.T) {
	ask := func(change func(*Request)) (r Request) {
		r.SetDefaults()
		r.ID, r.Send = "co2", "read\n"
		change(&r)
		return r
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"good", func(c *Config) { c.Requests = []Request{ask(func(*Request) {})}; c.Entities[0].Request = "co2" }, nil},
		{"every mistake", func(c *Config) {
			c.Requests = []Request{
				ask(func(r *Request) { r.ID, r.Send, r.Every = "CO2", "", 0 }),
				ask(func(r *Request) { r.Timeout, r.Retries, r.Delay = 0, 11, -1 }),
				ask(func(r *Request) { r.Expect = &Expect{Mask: "f"} }),
				ask(func(r *Request) { r.ID, r.Expect = "x", &Expect{Regex: "("} }),
			}
			c.Entities[0].Request = "o2"
		}, []string{
			"requests[0].id", "requests[0].every", "requests[0].send", "requests[1].timeout", "requests[1].retries",
			"requests[1].delay", "requests[2].id", "requests[2].expect.mask", "requests[3].expect.regex", "entities[0].request",
		}},
		{"start", func(c *Config) { c.Start = []Exchange{{Send: "{{"}} }, []string{"start[0].timeout", "start[0].send"}},
		{"too many", func(c *Config) { c.Requests = slices.Repeat([]Request{ask(func(*Request) {})}, 257)[:257] }, nil},
		{"framing", func(c *Config) { c.Framing = &frame.Spec{Kind: frame.Fixed} }, []string{"framing.size"}},
		{"framing by lines", func(c *Config) { c.Framing, c.Delimiter = &frame.Spec{Kind: frame.Delimiter}, ";" }, nil},
		{"commands without framing", func(c *Config) { c.CommandFraming = true }, []string{"command_framing"}},
		{"a request that makes no frame", func(c *Config) {
			c.Framing, c.CommandFraming = &frame.Spec{Kind: frame.Fixed, Size: 9}, true
			c.Requests = []Request{ask(func(*Request) {})}
		}, []string{"requests[0].send"}},
		{"reply without command", func(c *Config) { c.Entities[0].Reply = new(Reply) }, []string{"entities[0].reply", "entities[0].reply.timeout"}},
	} {
		c := valid()
		tt.change(&c)
		got := places(t, c.Validate())
		if tt.name == "too many" {
			if !slices.Contains(got, "requests") {
				t.Errorf("257 requests are not refused: %v", got[:3])
			}
			continue
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: mistakes at %v, want %v", tt.name, got, tt.want)
		}
	}
}
