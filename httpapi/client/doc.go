// Package client is a Go client of the HTTP API, generated from its OpenAPI
// description, openapi.json beside it. The command backupd uses no other.
package client

//go:generate go run generate.go
