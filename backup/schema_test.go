package backup_test

import "strings"

// replaceTables turns {backup_task} into "schema".backup_task.
func replaceTables(query, schema string) string {
	return strings.NewReplacer("{", schema+".", "}", "").Replace(query)
}
