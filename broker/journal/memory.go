package journal

// Memory is a Journal for brokers that need not outlive their process: state is
// where it is used, in memory, and as safe there as it will ever be. So
// everything is committed when it is appended.
type Memory struct{}

var _ Journal = Memory{}

// Append implements Journal.
func (Memory) Append(*Record) (Ticket, error) { return 0, nil }

// Committed implements Journal.
func (Memory) Committed() Ticket { return 0 }

// Watch implements Journal; what is always committed never advances.
func (Memory) Watch(func()) {}

// Hurry implements Journal; nothing waits.
func (Memory) Hurry() {}

// Load implements Journal; nothing has a place.
func (Memory) Load(Place) (*Message, error) { return nil, ErrGone }
