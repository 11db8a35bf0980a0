// Package cron says what is wrong with a cron expression, in words for people.
//
// It promises that an expression without a problem runs on some day: both dialects
// are checked against their grammar and against the calendar, so a 31st of
// February is a problem. It reads no clock: years that have passed are not its
// business. It is stricter than the parsers it uses, which accept what the
// schedulers behind the packages refuse: Quartz wants a ? for one of the two days.
//
// Start with [Problem], or with [QuartzProblem] where Unix cron is not known.
package cron
