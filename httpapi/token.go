package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	bearerScheme = "Bearer"
	basicScheme  = "Basic"

	// tokenPrefix lets those who look for secrets where none should be, such as
	// in a repository, find ours.
	tokenPrefix = "sitebackup_"
	tokenBytes  = 32 // 256 bits
)

// Token is a credential as a configuration has it: without the token itself.
type Token struct {
	Name string // 1 to 64 letters, digits and ._-

	// SHA256 is the hash of the token, in 64 hexadecimal digits: see [HashToken]. A
	// slow hash would add nothing: it makes guessing passwords dear, and nobody
	// guesses 256 random bits.
	SHA256 string

	// Scopes are the operations that it is for, at least one.
	Scopes Scopes

	// Users and Sites are patterns of the tenants that it is for, as in
	// [backup.Scope]. Default to all.
	Users []string
	Sites []string
}

// NewToken makes a token of 256 random bits.
func NewToken() string {
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // it never fails
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
}

// HashToken is what a configuration has in place of a token.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

var tokenNameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Validate returns an error that names the field and its rule, or nil.
func (t *Token) Validate() error {
	hash, err := hex.DecodeString(t.SHA256)
	var field *backup.FieldError
	switch {
	case !tokenNameRE.MatchString(t.Name):
		return fmt.Errorf("Name must be 1 to 64 letters, digits and ._-, beginning with a letter or digit, not %q", t.Name)
	case err != nil || len(hash) != sha256.Size:
		return errors.New("SHA256 must be the 64 hexadecimal digits that \"backupd token new\" prints")
	case t.Scopes == 0 || !everyScope.Has(t.Scopes):
		return errors.New("Scopes must have at least one of read, write and admin")
	case errors.As(t.scope().Validate(), &field):
		return fmt.Errorf("%s%s %s", strings.ToUpper(field.Field[:1]), field.Field[1:], field.Rule)
	}
	return nil
}

func (t *Token) scope() backup.Scope { return backup.Scope{Users: t.Users, Sites: t.Sites} }

// Tokens knows callers by their tokens: its methods are for [Options].
type Tokens struct{ known []knownToken }

type knownToken struct {
	hash   [sha256.Size]byte
	caller Caller
}

// NewTokens knows these tokens, whose names and hashes must differ.
func NewTokens(tokens []Token) (*Tokens, error) {
	t := &Tokens{}
	for i := range tokens {
		if err := tokens[i].Validate(); err != nil {
			return nil, fmt.Errorf("token %d: %w", i, err)
		}
		k := knownToken{caller: Caller{Name: tokens[i].Name, Scope: tokens[i].scope(), Can: tokens[i].Scopes}}
		_, _ = hex.Decode(k.hash[:], []byte(tokens[i].SHA256)) // it was validated
		for _, other := range t.known {
			if other.caller.Name == k.caller.Name || other.hash == k.hash {
				return nil, fmt.Errorf("token %d: Name and SHA256 must differ from those of every other token: %q", i, k.caller.Name)
			}
		}
		t.known = append(t.known, k)
	}
	return t, nil
}

// Authorize knows a caller by the header "Authorization: Bearer <token>" (RFC
// 6750). A token in a body or a query is none: those end up in logs.
func (t *Tokens) Authorize(r *http.Request) (*Caller, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return nil, ErrUnauthenticated
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, bearerScheme) {
		return nil, ErrUnauthenticated
	}
	return t.find(strings.TrimLeft(token, " "), nil)
}

// AuthorizeBasic knows a caller by Basic authentication (RFC 7617): the name of a
// token, and the token as password. It is for what people open in a browser. A
// browser sends such a credential by itself, also with requests that a page of
// another site makes: what accepts it must refuse those.
func (t *Tokens) AuthorizeBasic(r *http.Request) (*Caller, error) {
	name, token, ok := r.BasicAuth()
	if !ok || len(r.Header.Values("Authorization")) != 1 {
		return nil, ErrUnauthenticated
	}
	return t.find(token, &name)
}

// find compares with every token, each in constant time, so that how long it
// takes tells nothing of them.
func (t *Tokens) find(token string, name *string) (*Caller, error) {
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i := range t.known {
		if subtle.ConstantTimeCompare(sum[:], t.known[i].hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 || name != nil && *name != t.known[found].caller.Name {
		return nil, ErrUnauthenticated
	}
	return &t.known[found].caller, nil
}
