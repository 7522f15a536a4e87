package guard

// processes are what the test binary can be besides a test.
var processes = map[string]func(args []string) int{}
