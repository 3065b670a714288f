package config

import (
	"strings"
	"time"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/retention"
)

// File is a configuration file. Zero values are filled in by Defaults, or have a
// default where they are used.
type File struct {
	Database    Database    `yaml:"database,omitempty"`
	Server      Server      `yaml:"server,omitempty"`
	Probes      Probes      `yaml:"probes,omitempty"`
	API         API         `yaml:"api,omitempty"`
	Log         Log         `yaml:"log,omitempty"`
	Destination Destination `yaml:"destination,omitempty"`
	Providers   []Provider  `yaml:"providers,omitempty"`
	Limits      Limits      `yaml:"limits,omitempty"`
	Workers     Workers     `yaml:"workers,omitempty"`
	// Retention governs the backups of no schedule, and of those without a policy of
	// their own. Without it they all stay.
	Retention *retention.Policy `yaml:"retention,omitempty"`
	// Schedules are those that the server puts. An empty list has none; without the key
	// those that an earlier file declared stay as they are.
	Schedules Schedules `yaml:"schedules,omitempty"`
	Keep      Keep      `yaml:"keep,omitempty"`

	name  string            // the file's name, for messages
	lines map[string]int    // by path, such as "providers[0].url"
	flags map[string]string // by path: the flag that gave the value
	refs  map[string]string // by path: the reference that the value came from
	bad   map[string]bool   // paths whose values could not be read, which was said
}

// Name is the name under which the file was read, or "".
func (f *File) Name() string { return f.name }

// Readable reports whether every value of a section could be read: also those from
// environment variables.
func (f *File) Readable(section string) bool {
	for path := range f.bad {
		if path == section || strings.HasPrefix(path, section+".") {
			return false
		}
	}
	return true
}

// Database says where Postgres is.
type Database struct {
	// URL defaults to the environment variable DATABASE_URL. It may stand in the
	// file as long as it has no password.
	URL    Secret `yaml:"url,omitempty"`
	Schema string `yaml:"schema,omitempty"`
	// Wait is how long serve tries to reach it at the start.
	Wait Duration `yaml:"wait,omitempty"`
}

// Server says how the HTTP API is served.
type Server struct {
	Listen         string `yaml:"listen,omitempty"`
	InsecureListen bool   `yaml:"insecureListen,omitempty"`
	// BaseURL is where people reach the API.
	BaseURL string `yaml:"baseURL,omitempty"`
}

// Probes say where a process that serves no API answers probes and scrapes.
type Probes struct {
	// Listen is the address of /healthz, /readyz and /metrics. Off by default.
	Listen string `yaml:"listen,omitempty"`
}

// API says who may use the HTTP API. Without tokens nobody is asked, and the
// server answers this machine only.
type API struct {
	Tokens    []Token   `yaml:"tokens,omitempty"`
	RateLimit RateLimit `yaml:"rateLimit,omitempty"`
	Streams   Streams   `yaml:"streams,omitempty"`
	// KeyLifetime is how long an Idempotency-Key stands for what it has started.
	KeyLifetime Duration `yaml:"keyLifetime,omitempty"`
}

// Token is a credential of the API, as the command "token new" prints it. Its hash
// is no secret: nobody finds the 256 random bits that it is of.
type Token struct {
	Name   string `yaml:"name"`
	SHA256 string `yaml:"sha256"`
	Scopes List   `yaml:"scopes"`          // read, write, admin
	Users  List   `yaml:"users,omitempty"` // patterns, with *; all by default
	Sites  List   `yaml:"sites,omitempty"`
}

// RateLimit bounds how often each token may ask, and an address without one.
type RateLimit struct {
	PerSecond         int `yaml:"perSecond,omitempty"`
	Burst             int `yaml:"burst,omitempty"`
	FailuresPerMinute int `yaml:"failuresPerMinute,omitempty"`
}

// Streams bound the event streams and long polls that are served at once.
type Streams struct {
	Max          int `yaml:"max,omitempty"`
	MaxPerCaller int `yaml:"maxPerCaller,omitempty"` // by token
}

// Log says what is logged, to standard error.
type Log struct {
	Level  string `yaml:"level,omitempty"`  // debug, info, warn, error
	Format string `yaml:"format,omitempty"` // text, json
}

// Destination is where backups go: exactly one of File and Azure.
type Destination struct {
	Prefix string            `yaml:"prefix,omitempty"`
	File   *FileDestination  `yaml:"file,omitempty"`
	Azure  *AzureDestination `yaml:"azure,omitempty"`
}

// Existing is the destination without the wish that it be created.
func (d *Destination) Existing() *Destination {
	e := *d
	if d.File != nil {
		e.File = &FileDestination{Path: d.File.Path}
	}
	if d.Azure != nil {
		azure := *d.Azure
		azure.Create = false
		e.Azure = &azure
	}
	return &e
}

// FileDestination is a local directory.
type FileDestination struct {
	Path   string `yaml:"path,omitempty"`
	Create bool   `yaml:"create,omitempty"`
}

// AzureDestination is a container of Azure Blob Storage, with one of these
// credentials: a connection string; the URL of a container with a SAS; the
// account's URL with its shared key; or the account's URL alone, with the
// identity that the environment has (a managed identity, a workload identity, an
// Azure CLI that is logged in).
type AzureDestination struct {
	Container        string `yaml:"container,omitempty"`
	AccountURL       string `yaml:"accountURL,omitempty"`
	Account          string `yaml:"account,omitempty"`
	ConnectionString Secret `yaml:"connectionString,omitempty"`
	SharedKey        Secret `yaml:"sharedKey,omitempty"`
	SASURL           Secret `yaml:"sasURL,omitempty"`
	Create           bool   `yaml:"create,omitempty"`
}

// Limits are those over all processes, beside what each provider has.
type Limits struct {
	MaxSize           Size `yaml:"maxSize,omitempty"`           // of a backup
	MaxRunningPerUser int  `yaml:"maxRunningPerUser,omitempty"` // tasks at once
	// MaxSkew is how old an export may be that a retry keeps.
	MaxSkew Duration `yaml:"maxSkew,omitempty"`
}

// Provider is an export API.
type Provider struct {
	Name        string            `yaml:"name"`
	Type        string            `yaml:"type,omitempty"` // http
	URL         string            `yaml:"url"`
	ContentType List              `yaml:"contentType,omitempty"`
	Auth        *Auth             `yaml:"auth,omitempty"`
	Headers     map[string]string `yaml:"headers,omitempty"`

	AllowEmpty           bool `yaml:"allowEmpty,omitempty"`
	AllowUnproven        bool `yaml:"allowUnproven,omitempty"`
	AllowEncoded         bool `yaml:"allowEncoded,omitempty"`
	NoResume             bool `yaml:"noResume,omitempty"`
	NoHead               bool `yaml:"noHead,omitempty"`
	AllowedRedirectHosts List `yaml:"allowedRedirectHosts,omitempty"`

	// Pages is there for a source that sends an export in pages; it may be empty.
	Pages *Pages `yaml:"pages,omitempty"`

	MinSize        Size     `yaml:"minSize,omitempty"`
	MaxSize        Size     `yaml:"maxSize,omitempty"`
	MaxAttempts    int      `yaml:"maxAttempts,omitempty"`
	MaxWorkers     int      `yaml:"maxWorkers,omitempty"`
	MaxRunning     int      `yaml:"maxRunning,omitempty"`
	RetryFor       Duration `yaml:"retryFor,omitempty"`
	StallTimeout   Duration `yaml:"stallTimeout,omitempty"`
	OpenTimeout    Duration `yaml:"openTimeout,omitempty"` // defaults to 5 minutes, or to what headerTimeout needs
	ConnectTimeout Duration `yaml:"connectTimeout,omitempty"`
	TLSTimeout     Duration `yaml:"tlsTimeout,omitempty"`
	HeaderTimeout  Duration `yaml:"headerTimeout,omitempty"`
	SizeTimeout    Duration `yaml:"sizeTimeout,omitempty"`
}

// Pages says how a source names the next page: by a Link header, or by a mark in
// a header of its own that goes into a parameter of the URL's query.
type Pages struct {
	CursorHeader string `yaml:"cursorHeader,omitempty"`
	CursorParam  string `yaml:"cursorParam,omitempty"`
	MaxPages     int    `yaml:"maxPages,omitempty"`
}

// Auth is the credential of a provider: exactly one of its fields.
type Auth struct {
	Bearer Secret      `yaml:"bearer,omitempty"`
	Basic  *BasicAuth  `yaml:"basic,omitempty"`
	Header *HeaderAuth `yaml:"header,omitempty"`
}

// BasicAuth is a user and password (RFC 7617).
type BasicAuth struct {
	User     string `yaml:"user,omitempty"`
	Password Secret `yaml:"password,omitempty"`
}

// HeaderAuth is a header with a secret value, such as X-Api-Key.
type HeaderAuth struct {
	Name  string `yaml:"name,omitempty"`
	Value Secret `yaml:"value,omitempty"`
}

// Keep says how long the rows stay that backups and schedules leave behind: see
// backup.Keep.
type Keep struct {
	Details  Period `yaml:"details,omitempty"`
	Runs     Period `yaml:"runs,omitempty"`
	Alerts   Period `yaml:"alerts,omitempty"`
	Receipts Period `yaml:"receipts,omitempty"`
}

// Periods are those of package backup.
func (k *Keep) Periods() backup.Keep {
	return backup.Keep{
		Details: time.Duration(k.Details), Runs: time.Duration(k.Runs),
		Alerts: time.Duration(k.Alerts), Receipts: time.Duration(k.Receipts),
	}
}

// Workers says how a process works.
type Workers struct {
	ID             string   `yaml:"id,omitempty"`
	StableID       string   `yaml:"stableID,omitempty"`
	PartSize       Size     `yaml:"partSize,omitempty"`
	Concurrency    int      `yaml:"concurrency,omitempty"`
	BufferBudget   Size     `yaml:"bufferBudget,omitempty"`
	LeaseDuration  Duration `yaml:"leaseDuration,omitempty"`
	Heartbeat      Duration `yaml:"heartbeat,omitempty"`
	JournalBytes   Size     `yaml:"journalBytes,omitempty"`
	JournalEvery   Duration `yaml:"journalInterval,omitempty"`
	ControlWorkers int      `yaml:"controlWorkers,omitempty"`
	VerifyWorkers  int      `yaml:"verifyWorkers,omitempty"`
	StepAttempts   int      `yaml:"stepAttempts,omitempty"`
	MaxTasks       int      `yaml:"maxTasks,omitempty"`
}
