// Command backupbench measures what a backup costs. Source, store and worker are three
// processes, so that the worker's own processor time and memory can be told.
package main
