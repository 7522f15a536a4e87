package login

import (
	"strings"
	"testing"
)

// Hashes of other programs, with their passwords.
var foreign = []struct{ name, password, hash string }{
	{
		"mosquitto_passwd 2.0.11 -H sha512-pbkdf2", "pass wörd",
		"$7$101$UjhYRTvyHwA1nSH7$WcJRhZRCzHJCOtEsS3RcwvTrPXw5x+4+ZcYVqcL4x90wSITyPvrQ+lXSS4Wk4kB3bg6RH7eQja3KtiQUxmElbg==",
	},
	{
		"mosquitto_passwd 2.0.11 -H sha512", "pass wörd",
		"$6$sByGSVc59+nKN9UR$nLm/e7S9Zh2tSjFP4kL3OT161eD1FaJhw8E4pTAJwcgBlaznv7iOtiiND0dIr38nxM0WW0QUqO3XiZdzEQJrYA==",
	},
	{
		"the reference implementation of argon2", "password",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	},
}

func TestForeignHashes(t *testing.T) {
	for _, tt := range foreign {
		h, err := ParseHash(tt.hash)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !h.matches(NewSecret(tt.password)) {
			t.Errorf("%s: %q does not match", tt.name, tt.password)
		}
		if h.matches(NewSecret(tt.password+" ")) || h.matches(Secret{}) {
			t.Errorf("%s: another password matches", tt.name)
		}
	}
}

func TestOwnHashes(t *testing.T) {
	p := NewSecret("a")
	seen := map[string]bool{}
	for _, h := range []Hash{HashPassword(p, quick), HashGenerated(p), HashPassword(p, quick), HashGenerated(p)} {
		again, err := ParseHash(h.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !again.matches(p) || again.matches(NewSecret("b")) || again.Generated() != h.Generated() {
			t.Errorf("%s is another hash after it was read", h)
		}
		if seen[h.Encode()] {
			t.Errorf("two hashes of %s have the same salt", h)
		}
		seen[h.Encode()] = true
	}
	if (Hash{}).matches(Secret{}) {
		t.Error("the empty password matches the hash of nobody")
	}
}

func TestParseHash(t *testing.T) {
	const salt, sum32, sum64 = "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	tests := []struct{ hash, want string }{ // "" is a good hash
		{"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum32, ""},
		{"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "==$" + sum32 + "=", ""},
		{"$argon2id$v=19$m=47104,t=1,p=1$" + salt + "$" + sum64, ""},
		{"$sha256-random$" + salt + "$" + sum32, ""},
		{"$6$" + salt + "$" + sum64, ""},
		{"$7$101$" + salt + "$" + sum64, ""},

		{"", "this is no hash"},
		{"hunter2", "this is no hash"},
		{"$", "not known"},
		{"$1$" + salt + "$" + sum32, "not known"},
		{"$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + sum32, "not known"},
		{"$argon2id", "5 parts"},
		{"$argon2id$v=19$m=19456,t=2,p=1$" + salt, "5 parts"},
		{"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + sum32, "v=19"},
		{"$argon2id$v=19$m=19456,t=2$" + salt + "$" + sum32, "look like"},
		{"$argon2id$v=19$m=+19456,t=2,p=1$" + salt + "$" + sum32, "look like"},
		{"$argon2id$v=19$m=19456,t=2,p=1,x=1$" + salt + "$" + sum32, "look like"},
		{"$argon2id$v=19$m=19456,t=2,p=257$" + salt + "$" + sum32, "look like"},
		{"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + sum32, "t=1 or more"},
		{"$argon2id$v=19$m=19456,t=1,p=0$" + salt + "$" + sum32, "t=1 or more"},
		{"$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + sum32, "t=1 or more"},
		{"$argon2id$v=19$m=65537,t=1,p=1$" + salt + "$" + sum32, "would stop a board"},
		{"$argon2id$v=19$m=65536,t=5,p=1$" + salt + "$" + sum32, "would stop a board"},
		{"$argon2id$v=19$m=65536,t=4294967295,p=1$" + salt + "$" + sum32, "would stop a board"},
		{"$6$" + salt + "$" + sum64[:80], "cut off"},
		{"$6$" + salt + "$", "cut off"},
		{"$6$$" + sum64, "salt"},
		{"$6$" + salt + "\n$" + sum64, "salt"},
		{"$6$" + salt, "3 parts"},
		{"$6$" + salt + "$" + sum64 + "$", "3 parts"},
		{"$7$0$" + salt + "$" + sum64, "iterations"},
		{"$7$-1$" + salt + "$" + sum64, "iterations"},
		{"$7$1000001$" + salt + "$" + sum64, "iterations"},
		{"$7$", "iterations"},
		{"$7", "4 parts"},
		{"$sha256-random$" + salt + "$" + sum32[:22], "cut off"},
		{"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$AAAA", "16 to 64"},
		{"$6$" + salt + "$" + strings.Repeat("A", 600), "512"},
	}
	for _, tt := range tests {
		_, err := ParseHash(tt.hash)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseHash(%q): %v, want %q", tt.hash, err, tt.want)
		}
	}
}

func FuzzHash(f *testing.F) {
	for _, tt := range foreign {
		f.Add(tt.hash)
	}
	f.Add(HashGenerated(NewSecret("a")).Encode())
	f.Add("$7$0101$AAAAAAAAAAA$AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHash(s)
		if err != nil {
			return
		}
		again, err := ParseHash(h.Encode())
		if err != nil {
			t.Fatalf("%q was read, %q is not: %v", s, h.Encode(), err)
		}
		if again.Encode() != h.Encode() {
			t.Errorf("%q becomes %q", h.Encode(), again.Encode())
		}
		if h.memory() > maxKiB<<10 || len(h.sum) < 16 {
			t.Errorf("%q is out of bounds", s)
		}
	})
}
