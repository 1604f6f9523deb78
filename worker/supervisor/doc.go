// Package supervisor runs the connectors: it starts, pauses, stops and
// restarts them as the config topic says, decides what an error of a task
// means, and says what state everything is in.
//
// Each connector is an actor: one goroutine that owns the connector's tasks
// and takes orders from a mailbox, so that one that is slow to stop holds up
// no other. What is to be is read from the config topic, always anew; what is
// goes into the status topic.
//
// A task that ends with a transient error is run again with a growing delay
// while its state stays RUNNING, and [Supervisor.Health] says what it waits
// for. A permanent error or a panic makes it FAILED with a trace, until
// somebody restarts it.
package supervisor
