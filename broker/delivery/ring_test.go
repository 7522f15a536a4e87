package delivery

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring[int]
		var model []int
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, 7, 40, 3000}).Draw(t, "n") {
					r.push(n)
					model = append(model, n)
					n++
				}
			},
			"pop": func(t *rapid.T) {
				for range min(rapid.SampledFrom([]int{1, 7, 40, 3000}).Draw(t, "n"), len(model)) {
					r.pop()
					model = model[1:]
				}
			},
			"filter": func(t *rapid.T) {
				d := rapid.IntRange(2, 5).Draw(t, "divisor")
				r.filter(func(v *int) bool { return *v%d != 0 })
				model = slices.DeleteFunc(model, func(v int) bool { return v%d == 0 })
			},
			"": func(t *rapid.T) {
				var got []int
				for i := r.head; i < r.tail; i++ {
					got = append(got, *r.at(i))
				}
				if !slices.Equal(got, model) || r.len() != len(model) {
					t.Fatalf("ring = %v (len %d), want %v", got, r.len(), model)
				}
			},
		})
	})
}

func TestRingGivesMemoryBack(t *testing.T) {
	var r ring[int]
	for i := range 5000 {
		r.push(i)
	}
	for range 5000 {
		r.pop()
	}
	if r.buf != nil || r.blocks != nil {
		t.Errorf("an empty ring keeps room for %d and %d blocks", len(r.buf), len(r.blocks))
	}
	r.push(7)
	if got := *r.at(r.head); got != 7 {
		t.Errorf("first element after that = %d, want 7", got)
	}
}
