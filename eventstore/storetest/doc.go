// Package storetest is the contract of package eventstore as tests: one subtest
// for each promise. Whatever implements [eventstore.Log] calls [Run] in its own
// tests, and a fault found in one implementation becomes a promise tested in all.
//
// The suite uses names of its own in every run, so the log may have a history and
// other writers. It leaves its events and its groups behind, and a stream that it
// has deleted for good: point it at a server for tests.
//
// It speaks only through the interfaces, but for that deletion. Concurrent appends
// and reads of the same streams are recorded and checked for linearizability. What
// a restart of the server does to a promise is tested where there is a server to
// restart: in package esdb.
//
// # Proving a server of one's own
//
// The tests of package esdb run this suite against the embedded node or, when
// FACTGATE_TEST_ESDB holds a connection string, against the server or cluster that
// it names, version 23.10 or newer:
//
//	docker run --rm -p 2113:2113 eventstore/eventstore:24.10 --insecure --mem-db
//	FACTGATE_TEST_ESDB='esdb://127.0.0.1:2113?tls=false' \
//	    go test -count=1 -run TestContract ./eventstore/esdb
//
// The user must be allowed to read $all, to create persistent subscriptions and to
// delete streams. For a cluster name all nodes, or use esdb+discover:
//
//	FACTGATE_TEST_ESDB='esdb://admin:changeit@n1:2113,n2:2113,n3:2113?tlsCaFile=/etc/ca.crt' \
//	    go test -count=1 -run TestContract ./eventstore/esdb
//
// Each subtest that fails is named after the promise that does not hold. Each has a
// minute; a server that is merely far away should not need it. The groups are called
// storetest-…, the streams storetest-…-…, and nothing else is touched.
package storetest
