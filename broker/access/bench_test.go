package access_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"edge/broker/access"
)

// tenThousand is a policy of 10 000 rules, a third of them with wildcards, and
// a principal to whom all apply.
func tenThousand(b *testing.B) *access.View {
	var rules []access.Rule
	for i := range 10_000 {
		r := access.Rule{Allow: []access.Verb{"publish", access.Read}, Topics: []string{fmt.Sprintf("house/floor%d/room%d/%%u/+", i%10, i/10)}}
		switch {
		case i%3 == 0:
			r.Topics = []string{fmt.Sprintf("house/+/room%d/+/value%d/#", i/10, i%10)}
		case i%100 == 1:
			r.Allow, r.Deny = nil, r.Allow
		}
		rules = append(rules, r)
	}
	p, err := access.Compile(access.Config{Roles: map[string][]access.Rule{"big": rules}}, "edge/shed", nil)
	if err != nil {
		b.Fatal(err)
	}
	return p.For(access.Principal{Name: "anna", ClientID: "phone", Roles: []string{"big", "viewer", "sensor"}})
}

func BenchmarkDecision(b *testing.B) {
	v := tenThousand(b)
	for _, bm := range []struct {
		name, what string
		ask        func(string) access.Decision
		want       bool
	}{
		{"allowed", "house/floor4/room700/anna/temperature", v.Publish, true},
		{"wildcards", "house/floor3/room900/lamp/value9/x/y", v.Publish, true},
		{"denied", "house/floor1/room210/anna/temperature", v.Publish, false},
		{"default", "garden/tap/front/state", v.Publish, false},
		{"receive", "garden/tap/front/state", v.Receive, true},
		{"subscribe", "$share/g/house/floor4/room700/anna/+", v.Subscribe, true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			if d := bm.ask(bm.what); d.Allowed != bm.want {
				b.Fatal(d)
			}
			b.ReportAllocs()
			for b.Loop() {
				bm.ask(bm.what)
			}
		})
	}
}

// wild is a policy of 10 000 rules with a wildcard at every third level, so that
// many are about each topic; one in fifty denies.
func wild(b *testing.B, r *rand.Rand) *access.View {
	rules := make([]access.Rule, 10_000)
	for i := range rules {
		levels := make([]string, 1+r.IntN(8))
		for j := range levels {
			if levels[j] = "+"; r.IntN(3) > 0 {
				levels[j] = strconv.Itoa(r.IntN(10))
			}
		}
		rules[i] = access.Rule{Allow: []access.Verb{"publish", access.Read}, Topics: []string{strings.Join(levels, "/")}}
		if i%50 == 0 {
			rules[i].Allow, rules[i].Deny = nil, []access.Verb{"publish"}
		}
	}
	p, err := access.Compile(access.Config{Roles: map[string][]access.Rule{"big": rules}}, "edge/shed", nil)
	if err != nil {
		b.Fatal(err)
	}
	return p.For(access.Principal{Name: "anna", ClientID: "phone", Roles: []string{"big"}})
}

func BenchmarkWild(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	v := wild(b, r)
	topics := make([]string, 256)
	for i := range topics {
		topics[i] = strconv.Itoa(r.IntN(10))
		for range r.IntN(8) {
			topics[i] += "/" + strconv.Itoa(r.IntN(10))
		}
	}
	for name, ask := range map[string]func(string) access.Decision{"publish": v.Publish, "receive": v.Receive} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				ask(topics[i%len(topics)])
			}
		})
	}
}

// A connection costs this much.
func BenchmarkFor(b *testing.B) {
	p, err := access.Compile(access.Config{}, "edge/shed", nil)
	if err != nil {
		b.Fatal(err)
	}
	pr := access.Principal{Name: "anna", ClientID: "phone", Roles: []string{"sensor", "viewer"}}
	b.ReportAllocs()
	for b.Loop() {
		p.For(pr)
	}
}
