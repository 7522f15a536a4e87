package interop

// sideAttacks are those that come from beside: by other protocols, wires and brokers.
func sideAttacks() []attack {
	return []attack{
		{number: 42, name: "a hostile broker, to edge pub and edge sub", wants: []string{"exit code 4", "exit code 6"}, run: lieTo},
	}
}
