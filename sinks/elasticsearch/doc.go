// Package elasticsearch is the sink that applies records to Elasticsearch
// indices.
//
// # Two faces
//
// Under its short name, elasticsearch-sink, it recognises Debezium's envelope
// by itself, takes the row's key for _id, deletes what was deleted, and writes
// dates and numbers so that Elasticsearch understands them. Under the class
// name of Confluent's connector it has that connector's defaults: values stay
// in the topic's encoding, an envelope is a document like any other, and a null
// value is an error unless behavior.on.null.values says otherwise.
//
// # Versions
//
// Rows and deletes are written with version_type=external and the record's
// Kafka offset, or a header's number, as the version. Elasticsearch then
// refuses what is older than what it has, with status 409, which is what a
// repeated record should get and counts as applied. So a document never steps
// back, not even for a moment and not if two tasks write the same partition by
// accident.
//
// This holds as long as a key stays in its partition of its topic. Who deletes
// a topic and makes it again, or adds partitions, has to delete the index too,
// because new records have lower offsets than those it has seen.
//
// # Rows with missing values
//
// A value that is not in the log (an unchanged TOASTed column) must stay as it
// is. Elasticsearch's update would keep it but takes no external version: an
// old update that is repeated would go over a newer document, and, because an
// update raises the version by one, keep the newest record out afterwards. The
// sink therefore reads the document, adds its value to the row, and indexes
// the whole with the row's version. A document that is newer already is left
// alone.
package elasticsearch
