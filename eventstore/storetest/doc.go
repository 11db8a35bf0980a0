// Package storetest is the contract of package eventstore as tests: one subtest
// for each promise. Whatever implements [eventstore.Log] calls [Run] in its own
// tests, and a fault found in one implementation becomes a promise tested in all.
//
// The suite uses names of its own in every run, so the log may have a history
// and other writers, and it needs to delete nothing. It leaves its events and its
// groups behind: point it at a server for tests.
//
// It speaks only through the interfaces. What a restart of the server does to a
// promise is tested where there is a server to restart: in package esdb, whose
// tests run this suite against the embedded node or, when FACTGATE_TEST_ESDB
// holds a connection string, against any server:
//
//	docker run --rm -p 2113:2113 eventstore/eventstore:24.10 --insecure --mem-db
//	FACTGATE_TEST_ESDB='esdb://127.0.0.1:2113?tls=false' \
//	    go test -count=1 -run TestContract ./eventstore/esdb
//
// and against a cluster, whose user must be allowed to read $all and to create
// persistent subscriptions:
//
//	FACTGATE_TEST_ESDB='esdb://admin:changeit@n1:2113,n2:2113,n3:2113?tlsCaFile=/etc/ca.crt' \
//	    go test -count=1 -run TestContract ./eventstore/esdb
package storetest
