//go:build !linux

package gpiochip

import (
	"errors"
	"fmt"
)

// Open reports that only Linux has GPIO chips of this kind.
func Open(path string) (Chip, error) {
	return nil, fmt.Errorf("open GPIO chip %s: %w: it is a character device of Linux", path, errors.ErrUnsupported)
}
