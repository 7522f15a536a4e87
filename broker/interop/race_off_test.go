//go:build !race

package interop

// race says that the race detector watches this test.
const race = false
