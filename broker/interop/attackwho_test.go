package interop

func whoAttacks() []attack { return nil }
