// Package projections folds the log into a read model: Postgres tables that can
// be thrown away and made again.
//
// It promises:
//
//   - Rows and checkpoint move in one transaction, so what the tables say is
//     always the fold of the log up to the checkpoint: nothing is lost and
//     nothing is applied twice, wherever a process dies.
//   - Tasks are folded with the domain's own [task.State.Apply]; a row says what
//     anybody who holds the stream would say, whatever the batches were. The tables
//     hold no state to fold on from: a task that the writer does not remember is
//     folded from its stream.
//   - One writer a read model. The right to write is a session lock on the very
//     connection that writes, so it cannot be lost without losing the means to
//     write; and each write demands that the checkpoint is where the writer left
//     it. Other runners stand by and take over.
//   - When the log or Postgres is away, it tries again, from the checkpoint.
//
// It refuses to skip of its own. A fact that it cannot apply (a type that a newer version
// wrote, data that cannot be decoded, a fact missing before it) stops the read
// model with a [*HaltedError]; everything before that fact is applied, and the
// reason stands in the checkpoint for every reader to see. That is why the
// runner follows the log by stream and never by type: that would hide the unknown.
// An operator may say, in the log, that this one fact is to be passed by; see
// skips.go. Streams task-… without a task's id are somebody else's, though, and of
// what scanners say of themselves (scanners-roster, scanner-…, heartbeat-…) only what
// can be read is taken: no verdict reads it here.
//
// A read model is never changed into another one: it is folded anew beside the one
// in service, and the two change places at one moment. Start at [Registry], which
// says what may happen to read models, [Projector], which keeps all of them up to
// date, and [Runner], which does so for one. The tables are in readmodel.sql,
// analytics.sql and shadows.sql, in a schema rm_<n> for each read model; readers use
// the views of the schema live, which point at the one in service.
//
// While a read model catches up, three things go on side by side, within bounds:
//
//	log ──▶ intake ─────────▶ fold ─────────────────▶ write: one transaction
//	        receive, decode   states of the tasks     checkpoint, tasks, sub-tasks,
//	                          touched, by batch       declines, findings, scanners
//
// Once it has, what comes is folded and written at once; see follow.go.
package projections
