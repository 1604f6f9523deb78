package mongodb

import "time"

// parseZoned reads a zoned timestamp as Debezium writes it: ISO-8601 with a
// fraction of any length and Z or an offset.
func parseZoned(b []byte) (time.Time, error) {
	return time.Parse(time.RFC3339Nano, string(b))
}
