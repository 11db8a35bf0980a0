package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	floorSize   = 256 << 20
	floorRecord = 480 // an event with its names, id and header, as the node stores it
	floorGroup  = 1024
)

// logFloor is the least that a durable append can cost on this disk: a group of
// records, formed as the node forms its own, is written to a file that is full of
// zeros already, and fdatasync has nothing to do but the data. At the end of the
// file it begins again.
type logFloor struct {
	file     *os.File
	requests chan chan error
	stopped  chan struct{}
}

func openLogFloor(path string) (*logFloor, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for range floorSize / len(zeros) {
		if _, err := file.Write(zeros); err != nil {
			return nil, err
		}
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	f := &logFloor{file: file, requests: make(chan chan error, floorGroup), stopped: make(chan struct{})}
	go f.run()
	return f, nil
}

func (f *logFloor) run() {
	defer close(f.stopped)
	buffer := make([]byte, floorRecord*floorGroup)
	for i := range buffer {
		buffer[i] = byte(i * 7)
	}
	at := int64(0)
	group := make([]chan error, 0, floorGroup)
	for first := range f.requests {
		group = append(group[:0], first)
	more:
		for len(group) < floorGroup {
			select {
			case next, open := <-f.requests:
				if !open {
					break more
				}
				group = append(group, next)
			default:
				break more
			}
		}
		size := len(group) * floorRecord
		if at+int64(size) > floorSize {
			at = 0
		}
		_, err := f.file.WriteAt(buffer[:size], at)
		if err == nil {
			err = unix.Fdatasync(int(f.file.Fd()))
		}
		at += int64(size)
		for _, done := range group {
			done <- err
		}
	}
}

func (f *logFloor) append(_ context.Context, _ int, _ int64, data []byte) error {
	if len(data) > floorRecord {
		return fmt.Errorf("an event of %d bytes does not fit", len(data))
	}
	done := make(chan error, 1)
	f.requests <- done
	return <-done
}

func (f *logFloor) close() {
	close(f.requests)
	<-f.stopped
	_ = f.file.Close()
}
