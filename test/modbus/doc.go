// Package modbus tests internal/modbus against programs that nobody here wrote:
// libmodbus, modbus-serial of npm, and pymodbus, each as client and as server, on
// TCP and on pseudo-terminals. A test whose peer is missing is skipped; `make peers`
// installs them.
package modbus
