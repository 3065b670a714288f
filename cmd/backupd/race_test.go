//go:build race

package main_test

// The program under test looks for races where the tests do.
func init() { buildArgs = append(buildArgs, "-race") }
