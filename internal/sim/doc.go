// Package sim is the far end of every wire that edge is tied to: a GPIO chip
// with a relay board, buttons and contacts on it, and a sensor stick on a serial
// line. Tests press and unplug it; `edge demo` lets it live by itself. It is
// not a mock: it keeps the contracts of the real things and is tested for it.
package sim
