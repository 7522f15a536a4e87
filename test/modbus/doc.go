// Package modbus tests internal/modbus against programs that nobody here wrote:
// libmodbus, and modbus-serial of npm, both as client and as server, on TCP and
// on pseudo-terminals. A test whose peer is missing is skipped; `make peers`
// installs them.
package modbus
