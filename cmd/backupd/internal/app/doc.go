// Package app puts backupd together from a configuration: pools, store,
// providers, workers, the HTTP API and the dashboard. The commands serve and
// demo both run what [Start] makes.
package app
