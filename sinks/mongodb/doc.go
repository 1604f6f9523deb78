// Package mongodb is the sink that applies records to MongoDB collections.
//
// # Two faces
//
// Under its short name, mongodb-sink, it recognises Debezium's envelope by
// itself. A row is a document with all its columns, dates and numbers in
// MongoDB's own types, so that people can query it. Its _id is the key: the
// value itself if the key has one column, a document of the columns otherwise.
// Updates and deletes are applied by _id. A record without a key gets an _id
// made of topic, partition and offset.
//
// Under the class name of MongoDB's own connector it does what that connector
// does: values stay in the encoding that the topic has, settings have its
// defaults, and envelopes are documents like any other unless
// change.data.capture.handler says otherwise. With Debezium's handlers the _id
// is the key as a document, and the key's fields are not repeated. What we do
// differently is in DESIGN.md.
//
// # Guarantees
//
// Every write is an upsert or a delete by _id, so applying a suffix of the log
// again ends in the same state: while the suffix is repeated a document may
// step back, but the last record of its key is applied last. There is no
// version in the documents that would prevent the step back, because documents
// belong to the user and are left as the table's rows are.
//
// Records of one _id take effect in order; different ones are sent together,
// unordered. A value that is not in the log (an unchanged TOASTed column)
// leaves the document's field as it is.
package mongodb
