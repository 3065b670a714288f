// Package blobtest checks that a blob.Store keeps the promises of its interface.
//
// The test of a new store is one call:
//
//	func TestConformance(t *testing.T) {
//		blobtest.Run(t, func(t *testing.T) blob.Store { return open(t) })
//	}
//
// [Cases] are the same checks without package testing, for an operator who wants
// to know whether a real destination does what backups rely on.
//
// [Faulty] wraps a store that works and makes calls fail, hang, lose their
// answer or damage bytes, as a script says.
package blobtest
