package delivery

// A ring is a queue whose elements keep their number while others come and go:
// the first ever pushed has number 0.
//
// A short one is a circle that doubles. A long one is a row of blocks, so that it
// neither moves its elements when it grows nor keeps the memory of those that have
// gone.
type ring[T any] struct {
	buf        []T   // of a short one; its length is 0 or a power of two
	blocks     [][]T // of a long one: each has block elements
	head, tail uint64
}

const block = 1024

// len returns how many elements there are; their numbers are head to tail-1.
func (r *ring[T]) len() int { return int(r.tail - r.head) }

// at returns the element with number n, which must be there.
func (r *ring[T]) at(n uint64) *T {
	if r.blocks == nil {
		return &r.buf[n&uint64(len(r.buf)-1)]
	}
	return &r.blocks[n/block-r.head/block][n%block]
}

func (r *ring[T]) push(v T) {
	if r.blocks == nil && r.len() == len(r.buf) {
		r.grow()
	}
	if r.blocks != nil && r.tail/block-r.head/block == uint64(len(r.blocks)) {
		r.blocks = append(r.blocks, make([]T, block))
	}
	*r.at(r.tail) = v
	r.tail++
}

// pop drops the first element.
func (r *ring[T]) pop() {
	var none T
	*r.at(r.head) = none
	r.head++
	switch {
	case r.blocks == nil:
	case r.head == r.tail:
		r.blocks = nil // A burst is over.
	case r.head%block == 0:
		r.blocks[0] = nil
		r.blocks = r.blocks[1:]
	}
}

// grow makes room in a circle that is full, or a row of blocks of it.
func (r *ring[T]) grow() {
	if len(r.buf) < block {
		r.resize(max(8, 2*len(r.buf)))
		return
	}
	old := r.buf
	r.buf = nil
	for n := r.head / block; n <= r.tail/block; n++ {
		r.blocks = append(r.blocks, make([]T, block))
	}
	for n := r.head; n < r.tail; n++ {
		*r.at(n) = old[n&uint64(len(old)-1)]
	}
}

func (r *ring[T]) resize(n int) {
	buf := make([]T, n)
	for i := r.head; i < r.tail; i++ {
		buf[i&uint64(n-1)] = *r.at(i)
	}
	r.buf = buf
}

// filter keeps the elements that keep accepts. It gives new numbers to those
// behind a dropped one.
func (r *ring[T]) filter(keep func(*T) bool) {
	w := r.head
	for i := r.head; i < r.tail; i++ {
		if !keep(r.at(i)) {
			continue
		}
		if w != i {
			*r.at(w) = *r.at(i)
		}
		w++
	}
	r.truncate(w)
}

// truncate drops the elements from number n on.
func (r *ring[T]) truncate(n uint64) {
	var none T
	for i := n; i < r.tail; i++ {
		*r.at(i) = none
	}
	r.tail = n
	switch {
	case r.blocks == nil:
	case r.head == n:
		r.blocks = nil
	default:
		last := (n-1)/block - r.head/block + 1
		clear(r.blocks[last:])
		r.blocks = r.blocks[:last]
	}
}
