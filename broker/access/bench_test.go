package access_test

import (
	"fmt"
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
