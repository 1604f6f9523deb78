package postgres

import "strings"

// identifier quotes a name for SQL.
func identifier(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// qualified quotes a table's name for SQL.
func qualified(schemaName, table string) string {
	return identifier(schemaName) + "." + identifier(table)
}

// literal quotes text for SQL; the sessions have standard_conforming_strings
// on, so a backslash is a backslash.
func literal(text string) string {
	return `'` + strings.ReplaceAll(text, `'`, `''`) + `'`
}
