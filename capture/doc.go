// Package capture is the source side of a pipeline: the task that reads a
// database's log in batches, turns its events into Kafka records, publishes
// them in order, saves the offset when they are acknowledged, and only then
// lets the database forget.
//
// It knows no database. A database is a [Connector] in a package below
// (capture/mysql, capture/postgres), which offers a [Source] that reads the
// log and a [Scanner] that copies tables; package snapshot joins the two
// behind one [Opener].
//
// The invariants that the code refers to by number:
//
//   - I1: Confirm(p) only after Save(p); Save(p) only after every record up to
//     p is acknowledged by the broker.
//   - I2: a restart repeats at most events that were not acknowledged, and
//     skips none.
//   - I3: snapshot progress and log position are one Position, saved at once.
//   - I4: a batch has one owner; nobody keeps a row or text past hand-over.
//   - I5: a *schema.Table never changes.
//   - I6: for each key, the order of publishing is the order of committing.
//     Records on their way behind one that the broker refuses for good may
//     still be taken; the task stops then, and a restart publishes the refused
//     one and all after it again, in order.
//   - I7: an event is delivered, or the task has stopped with an error.
//   - I8: one path of recovery: any error ends Run, and the supervisor opens
//     the task again from the saved position. Sources contain no reconnect
//     loops, so kill -9 takes the same path as a lost connection.
package capture
