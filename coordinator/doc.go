// Package coordinator is the main-task service: it opens a window for every
// upload and closes it with a verdict. It knows no sub-task type.
//
// Two loops, each safe to run many times over, in one process or in many:
//
//   - Intake is a competing consumer of ZipUploaded and appends MainTaskCreated.
//     It needs no database, so uploads and scans go on when Postgres is away.
//   - The window loop follows the log into the table coordinator.windows: one row
//     for each open window, with the earliest moment at which it can be due. Due
//     rows are taken FOR UPDATE SKIP LOCKED, some hundred at a time; the tasks'
//     streams are judged side by side; either WindowClosed and MainTaskConverged
//     are appended and the row goes, or the row gets its next due time.
//
// The table is a projection and disposable: a due time that is too early costs
// one look at the stream, and none is ever too late, because every fact that
// could move it forward passes here. The truth is the stream: appends are
// guarded by its revision and event ids are derived, so two coordinators that do
// the same thing at the same time record it once. Deadlines missed while nobody
// looked fire at once and close as of their time (rules.Evaluate).
package coordinator
