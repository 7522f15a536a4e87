package login

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands for a secret wherever one would be seen.
const redacted = "[redacted]"

// A Secret is a password on its way: whatever formats, logs or encodes it writes
// [redacted]. The zero Secret is the empty password.
type Secret struct {
	// A pointer, because fmt does not ask the methods of a field that is not
	// exported, but prints what is in it; of a pointer it prints the address.
	text *string
}

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret { return Secret{&text} }

// GenerateSecret returns a password of 130 random bits, in letters and digits.
// Only such a password may be hashed by HashGenerated.
func GenerateSecret() Secret { return NewSecret(rand.Text()) }

// Reveal returns the password itself. Who calls it answers for where it goes.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Format implements fmt.Formatter, for all verbs.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
