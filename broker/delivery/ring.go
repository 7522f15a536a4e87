package delivery

// A ring is a queue whose elements keep their number while others come and go:
// the first ever pushed has number 0.
type ring[T any] struct {
	buf        []T // its length is 0 or a power of two
	head, tail uint64
}

// len returns how many elements there are; their numbers are head to tail-1.
func (r *ring[T]) len() int { return int(r.tail - r.head) }

// at returns the element with number n, which must be there.
func (r *ring[T]) at(n uint64) *T { return &r.buf[n&uint64(len(r.buf)-1)] }

func (r *ring[T]) push(v T) {
	if r.len() == len(r.buf) {
		r.resize(max(8, 2*len(r.buf)))
	}
	*r.at(r.tail) = v
	r.tail++
}

// pop drops the first element.
func (r *ring[T]) pop() {
	var none T
	*r.at(r.head) = none
	r.head++
	if r.head == r.tail && len(r.buf) > 1024 {
		r.buf = nil // A burst is over; the memory goes back.
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
	var none T
	for i := w; i < r.tail; i++ {
		*r.at(i) = none
	}
	r.tail = w
}
