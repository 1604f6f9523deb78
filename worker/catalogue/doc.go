// Package catalogue knows every connector and converter there is, by all the
// names people have for them, and judges configurations: it is what stands
// behind validation over REST, `penstock check`, `penstock plugins`, the
// generated reference and the start of a connector, so that none of them can
// disagree with another.
//
// The texts of errors are those of Kafka Connect, or of Debezium for
// Debezium's settings, as far as those have a text: clients match on them.
package catalogue
