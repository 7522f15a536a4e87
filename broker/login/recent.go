package login

import "container/list"

// recent is a map of bounded size: to make place it forgets what was used least
// recently. What a stranger can make it forget is therefore the oldest, and costs
// him as many entries.
type recent[K comparable, V any] struct {
	max       int
	order     list.List // of *entry[K, V], the latest first
	elements  map[K]*list.Element
	forgotten uint64
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](size int) *recent[K, V] {
	return &recent[K, V]{max: size, elements: map[K]*list.Element{}}
}

// get returns what is known of k, or nil.
func (r *recent[K, V]) get(k K) *V {
	e := r.elements[k]
	if e == nil {
		return nil
	}
	r.order.MoveToFront(e)
	return &e.Value.(*entry[K, V]).value
}

// make returns what is known of k, the zero value if it was nothing.
func (r *recent[K, V]) make(k K) *V {
	if v := r.get(k); v != nil {
		return v
	}
	if len(r.elements) >= r.max {
		last := r.order.Back()
		delete(r.elements, last.Value.(*entry[K, V]).key)
		r.order.Remove(last)
		r.forgotten++
	}
	e := &entry[K, V]{key: k}
	r.elements[k] = r.order.PushFront(e)
	return &e.value
}

func (r *recent[K, V]) delete(k K) {
	if e := r.elements[k]; e != nil {
		delete(r.elements, k)
		r.order.Remove(e)
	}
}
