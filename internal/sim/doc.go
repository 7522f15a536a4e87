// Package sim is the far end of every wire that edge is tied to: a GPIO chip
// with a relay board, buttons and contacts on it, a sensor stick on a serial
// line, and units on a Modbus line. Tests press, unplug and break it; `edge demo`
// lets it live by itself. It is not a mock: it keeps the contracts of the real
// things and is tested for it.
package sim
