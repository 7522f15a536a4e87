// Command edge is the MQTT hub of a house or a workshop on one board: broker,
// GPIO lines and serial sticks in one process, and the tools to look into it.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
