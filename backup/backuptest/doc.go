// Package backuptest checks that a backup.Provider keeps the promises of its
// interface.
//
// The test of a new provider is one call:
//
//	func TestConformance(t *testing.T) {
//		backuptest.Run(t, provider, &backuptest.Options{
//			Request:       backup.ExportRequest{UserID: "ada", SiteID: "cats.example"},
//			Deterministic: true,
//		})
//	}
//
// What a provider promises beyond that, and what only a source that misbehaves
// can show, is in [Options]: a source that stalls, one that breaks off, a site
// that doesn't exist. The more of them are set, the more is checked.
//
// [Cases] are the same checks without package testing, for an operator who wants
// to know whether a real source does what backups rely on.
//
// [Wait] is for the tests of a program that embeds backups.
package backuptest
