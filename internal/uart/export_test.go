package uart

// ByID is the name of an adapter in /dev/serial/by-id.
func ByID(p Info, number, port string) string { return p.byID(number, port) }

// PTY returns the far end of a port and the path of the port.
var PTY = pty
