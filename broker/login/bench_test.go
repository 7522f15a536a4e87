package login

import "testing"

// BenchmarkCheck says what a login costs, by how the password is known.
func BenchmarkCheck(b *testing.B) {
	users := people().With(User{Name: "anna", Hash: HashPassword(NewSecret("anna"), DefaultCost())})
	for _, bench := range []struct {
		name, user string
		forget     bool
	}{
		{"slow", "anna", true},
		{"remembered", "anna", false},
		{"generated", "device", false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			v := NewVerifier(users, NewMemory())
			for b.Loop() {
				if bench.forget {
					clear(v.memory.right)
				}
				if _, err := v.Check(b.Context(), Attempt{bench.user, NewSecret(bench.user), home}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
