package migrations

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// DefaultSchema is the schema that is used where none is configured.
const DefaultSchema = "backup"

const defaultLockTimeout = 5 * time.Minute

// Config says where the tables live. A nil *Config stands for all defaults.
type Config struct {
	// Schema holds River's tables and ours. It is created where it is missing.
	// See ValidateSchema for the rule that it has to keep.
	//
	// Defaults to DefaultSchema.
	Schema string

	// Logger is told of each migration that was applied or reverted.
	//
	// Defaults to slog.Default().
	Logger *slog.Logger

	// LockTimeout is how long Up and Down wait for another process that is
	// migrating the same schema. The context may end the wait sooner. It isn't about
	// tables that are locked by other transactions: a migration of ours waits for those
	// for 3 seconds at a time, so that it holds nobody up for long, and tries 15 times.
	//
	// Defaults to 5 minutes.
	LockTimeout time.Duration
}

var schemaRule = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// ValidateSchema says whether name can be a Config's Schema: it returns nil, or
// an error that names the field and the rule. River prefixes the topics of its
// notifications with the schema, hence letters, digits, underscores and the
// limit; lower case needs no quotes from those who type SQL; and Postgres keeps
// names that begin with "pg_" for itself.
func ValidateSchema(name string) error {
	if schemaRule.MatchString(name) && !strings.HasPrefix(name, "pg_") {
		return nil
	}
	return fmt.Errorf("Schema must be 1 to 40 lower-case letters, digits and underscores, not beginning with a digit or with pg_: %q", name)
}

// withDefaults returns a valid copy of c, which may be nil.
func (c *Config) withDefaults() (Config, error) {
	var out Config
	if c != nil {
		out = *c
	}
	if out.Schema == "" {
		out.Schema = DefaultSchema
	}
	if out.Logger == nil {
		out.Logger = slog.Default()
	}
	if out.LockTimeout == 0 {
		out.LockTimeout = defaultLockTimeout
	}
	if out.LockTimeout < 0 {
		return Config{}, fmt.Errorf("LockTimeout must not be negative: %s", out.LockTimeout)
	}
	return out, ValidateSchema(out.Schema)
}

// quoted is the schema as SQL wants it.
func (c *Config) quoted() string { return pgx.Identifier{c.Schema}.Sanitize() }

// ledger is the table that records our migrations, as SQL wants it.
func (c *Config) ledger() string { return pgx.Identifier{c.Schema, "backup_migration"}.Sanitize() }

// riverLedger is the table that records River's migrations, as SQL wants it.
func (c *Config) riverLedger() string { return pgx.Identifier{c.Schema, "river_migration"}.Sanitize() }
