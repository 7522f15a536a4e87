package login

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// A scheme is a way to hash a password, named as in the string.
type scheme string

const (
	// argon2id (RFC 9106) is for passwords that people choose, of ours and of
	// mosquitto 2.1:
	//
	//	$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$SUM
	argon2id scheme = "argon2id"

	// generated is SHA-256(salt, password), for passwords of at least 128 random
	// bits: nobody can guess those however fast the hash is.
	//
	//	$sha256-random$SALT$SUM
	generated scheme = "sha256-random"

	// sha512Salted is mosquitto's before 2.0, SHA-512(password, salt):
	//
	//	$6$SALT$SUM
	sha512Salted scheme = "6"

	// pbkdf2SHA512 is mosquitto's since 2.0, PBKDF2 with HMAC-SHA-512:
	//
	//	$7$ITERATIONS$SALT$SUM
	pbkdf2SHA512 scheme = "7"
)

// A Cost is what one argon2id hash needs.
type Cost struct {
	KiB    uint32 // of memory
	Passes uint32 // over it
	Lanes  uint8
}

// DefaultCost is the second of OWASP's equivalent settings: as hard to guess
// against as one with 46 MiB, and a board can spare it.
func DefaultCost() Cost { return Cost{KiB: 19 << 10, Passes: 2, Lanes: 1} }

// Bounds of what a line of a file may make us do at each login.
const (
	maxKiB        = 64 << 10
	maxWork       = 4 * maxKiB // KiB times passes
	maxLanes      = 4
	maxIterations = 1_000_000
	minSalt       = 8 // bytes
	maxSalt       = 64
	maxHash       = 512 // bytes of the string
	saltSize      = 16
	sumSize       = 32
)

// A Hash is what is kept of a password. No password matches the zero Hash.
type Hash struct {
	scheme     scheme
	cost       Cost // of argon2id
	iterations int  // of PBKDF2
	salt, sum  []byte
}

// HashPassword hashes a password that a person chose. It needs c.KiB of memory
// and as much time as c says: in the hub, a Verifier does it in its turn.
func HashPassword(p Secret, c Cost) Hash {
	h := Hash{scheme: argon2id, cost: c, salt: newSalt(), sum: make([]byte, sumSize)}
	h.sum = h.compute(p)
	return h
}

// HashGenerated hashes a password of GenerateSecret. The hash is fast, because
// such a password cannot be guessed.
func HashGenerated(p Secret) Hash {
	h := Hash{scheme: generated, salt: newSalt(), sum: make([]byte, sha256.Size)}
	h.sum = h.compute(p)
	return h
}

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // It never returns an error.
	return salt
}

// compute hashes p as h was hashed.
func (h Hash) compute(p Secret) []byte {
	text := p.Reveal()
	switch h.scheme {
	case argon2id:
		return argon2.IDKey([]byte(text), h.salt, h.cost.Passes, h.cost.KiB, h.cost.Lanes, uint32(len(h.sum)))
	case generated:
		sum := sha256.Sum256([]byte(string(h.salt) + text))
		return sum[:]
	case sha512Salted:
		sum := sha512.Sum512([]byte(text + string(h.salt)))
		return sum[:]
	case pbkdf2SHA512:
		sum, err := pbkdf2.Key(sha512.New, text, h.salt, h.iterations, len(h.sum))
		if err != nil { // Salts that FIPS mode refuses: nobody gets in.
			return nil
		}
		return sum
	}
	return nil
}

// matches reports whether p is the password, in a time that does not tell how
// nearly.
func (h Hash) matches(p Secret) bool {
	return len(h.sum) > 0 && subtle.ConstantTimeCompare(h.compute(p), h.sum) == 1
}

// memory returns how many bytes a computation leaves behind.
func (h Hash) memory() int {
	if h.scheme == argon2id {
		return int(h.cost.KiB) << 10
	}
	return 0
}

// Generated reports whether the password was made by GenerateSecret.
func (h Hash) Generated() bool { return h.scheme == generated }

// weak reports whether a login should be taken as the occasion to hash the
// password again, with c.
func (h Hash) weak(c Cost) bool {
	return h.scheme == sha512Salted || h.scheme == pbkdf2SHA512 || h.scheme == argon2id && h.cost != c
}

// String returns the name of the scheme. The hash itself is Encode's, so that no
// log gets it: against a weak password it can be guessed at.
func (h Hash) String() string {
	switch h.scheme {
	case sha512Salted:
		return "mosquitto sha512"
	case pbkdf2SHA512:
		return "mosquitto pbkdf2"
	case "":
		return "none"
	}
	return string(h.scheme)
}

// GoString implements fmt.GoStringer.
func (h Hash) GoString() string { return h.String() }

// LogValue implements slog.LogValuer.
func (h Hash) LogValue() slog.Value { return slog.StringValue(h.String()) }

// Encode returns the string that is kept; ParseHash reads it.
func (h Hash) Encode() string {
	b64 := base64.RawStdEncoding.EncodeToString
	switch h.scheme {
	case argon2id:
		return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
			h.cost.KiB, h.cost.Passes, h.cost.Lanes, b64(h.salt), b64(h.sum))
	case pbkdf2SHA512:
		return fmt.Sprintf("$7$%d$%s$%s", h.iterations, b64(h.salt), b64(h.sum))
	}
	return fmt.Sprintf("$%s$%s$%s", h.scheme, b64(h.salt), b64(h.sum))
}

// ParseHash reads the string of a hash. Its errors do not repeat it.
func ParseHash(s string) (Hash, error) {
	if len(s) > maxHash {
		return Hash{}, fmt.Errorf("the hash has %d bytes, the most are %d", len(s), maxHash)
	}
	fields := strings.Split(s, "$")
	if len(fields) < 2 || fields[0] != "" {
		return Hash{}, errors.New("this is no hash: it must begin with $argon2id$, $sha256-random$, $6$ or $7$")
	}
	h := Hash{scheme: scheme(fields[1])}
	params, want, size, err := h.parseScheme(fields[2:])
	if err != nil {
		return Hash{}, err
	}
	if len(params) != 2 {
		return Hash{}, fmt.Errorf("a hash of this kind has %d parts between its $, not %d", want, len(fields)-1)
	}
	return h, h.parseSums(params[0], params[1], size)
}

// parseScheme reads what stands before salt and sum, and returns what is left,
// how many parts such a hash has, and how long its sum is; 0 is any length.
func (h *Hash) parseScheme(fields []string) (rest []string, parts, size int, err error) {
	switch h.scheme {
	case argon2id:
		if len(fields) < 2 {
			return nil, 5, 0, nil
		}
		h.cost, err = parseCost(fields[0], fields[1])
		return fields[2:], 5, 0, err
	case generated:
		return fields, 3, sha256.Size, nil
	case sha512Salted:
		return fields, 3, sha512.Size, nil
	case pbkdf2SHA512:
		if len(fields) < 1 {
			return nil, 4, 0, nil
		}
		h.iterations, err = strconv.Atoi(fields[0])
		if err != nil || h.iterations < 1 || h.iterations > maxIterations {
			return nil, 4, 0, fmt.Errorf("the iterations of a $7$ hash must be 1 to %d", maxIterations)
		}
		return fields[1:], 4, sha512.Size, nil
	}
	return nil, 0, 0, errors.New("this kind of hash is not known: known are argon2id, sha256-random, 6 and 7")
}

func parseCost(version, params string) (c Cost, err error) {
	if version != fmt.Sprintf("v=%d", argon2.Version) {
		return c, fmt.Errorf("argon2id must be of version v=%d", argon2.Version)
	}
	n, _ := fmt.Sscanf(params, "m=%d,t=%d,p=%d", &c.KiB, &c.Passes, &c.Lanes)
	if n != 3 || params != fmt.Sprintf("m=%d,t=%d,p=%d", c.KiB, c.Passes, c.Lanes) {
		return c, errors.New("the parameters of argon2id must look like m=19456,t=2,p=1")
	}
	switch {
	case c.Passes < 1 || c.Lanes < 1 || c.Lanes > maxLanes || c.KiB < 8*uint32(c.Lanes):
		return c, fmt.Errorf("argon2id needs t=1 or more, p=1 to %d, and m=8 or more for each p", maxLanes)
	case c.KiB > maxKiB || uint64(c.KiB)*uint64(c.Passes) > maxWork:
		return c, fmt.Errorf("argon2id with more than m=%d, or m times t above %d, would stop a board at each login", maxKiB, maxWork)
	}
	return c, nil
}

// parseSums reads salt and sum, which have a size, or any that is safe.
func (h *Hash) parseSums(salt, sum string, size int) error {
	var err error
	if h.salt, err = decode64(salt); err != nil || len(h.salt) < minSalt || len(h.salt) > maxSalt {
		return fmt.Errorf("the salt must be base64 of %d to %d bytes", minSalt, maxSalt)
	}
	if h.sum, err = decode64(sum); err != nil {
		return errors.New("the last part of the hash must be base64")
	}
	switch {
	case size != 0 && len(h.sum) != size:
		return fmt.Errorf("the last part of the hash has %d bytes, not %d; it is cut off", len(h.sum), size)
	case len(h.sum) < 16 || len(h.sum) > 64:
		return errors.New("the last part of the hash must have 16 to 64 bytes")
	}
	return nil
}

// decode64 reads base64 with or without padding, but nothing that could be
// written otherwise.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // The decoder would skip them.
		return nil, base64.CorruptInputError(0)
	}
	if strings.HasSuffix(s, "=") {
		return base64.StdEncoding.Strict().DecodeString(s)
	}
	return base64.RawStdEncoding.Strict().DecodeString(s)
}
