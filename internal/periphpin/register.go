package periphpin

import (
	"fmt"

	"periph.io/x/conn/v3/gpio/gpioreg"
)

// Register makes pins known to periph by their names. Another pin of that name is
// replaced, as that of gpioioctl, which must not be used (see the package comment);
// who has looked it up before still has it.
func Register(pins ...*Pin) error {
	for _, p := range pins {
		// An error says that the name was free. An alias of that name goes, too.
		_ = gpioreg.Unregister(p.name)
		if err := gpioreg.Register(p); err != nil {
			return fmt.Errorf("register pin %s with periph: %w", p, err)
		}
	}
	return nil
}
