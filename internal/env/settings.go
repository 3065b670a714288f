package env

import (
	"slices"
	"strconv"
)

// smallSettings keep a server small, because the tests of several packages run one each, and let many
// connect, because each test has a pool.
var smallSettings = []string{"max_connections=300", "shared_buffers=64MB", "timezone=UTC"}

// fastSettings make a server that forgets everything in a crash, and costs little.
var fastSettings = []string{
	"fsync=off", "synchronous_commit=off", "full_page_writes=off",
	"wal_level=minimal", "max_wal_senders=0", "jit=off",
}

// FastPostgresArguments returns the arguments that make a Postgres server small, quick and forgetful,
// for tests that start one in their own way.
func FastPostgresArguments() []string {
	return asArguments(append(slices.Clone(smallSettings), fastSettings...))
}

func asArguments(settings []string) []string {
	var args []string
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// settings returns the server's arguments. It listens on loopback alone.
func (c *cluster) settings() []string {
	set := append([]string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(c.port), "unix_socket_directories=",
		"lc_messages=C", "logging_collector=off", "log_destination=stderr",
	}, smallSettings...)
	if c.opts.Fast {
		set = append(set, fastSettings...)
	}
	return append([]string{"-D", c.data()}, asArguments(set)...)
}
