// Package blob keeps uploads and scan reports: bytes that are named by their
// own digest, written once and never changed.
//
// A [Store] promises that what Put acknowledged survives a crash of the process
// and of the machine, that a reader never sees half a blob, and that the same
// bytes have the same [Key] everywhere, so storing them again costs no space. It
// refuses keys that it could not have given out.
//
// It does not decide what a blob is, who may read it, or when it is removed, and
// does not compare contents with the digest when they are read back.
//
// [OpenDir] is the store in a local folder, [OpenS3] the one in a bucket.
// blobtest.Exercise is the contract as tests; every implementation passes it.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// Store keeps blobs. It is safe for concurrent use, also by several processes
// on the same storage.
type Store interface {
	// Put stores everything that r holds, up to its end, and returns only after it
	// is durable. Putting the same bytes again, also at the same time, gives the
	// same Info.
	//
	// Content of more than limit bytes is refused with a [*TooLargeError], after
	// at most limit+1 bytes plus a buffer have been read. An error of r comes back
	// as a [*ReadError] (the client went away), an error of the storage as a
	// [*StorageError] (worth a retry, and an alarm), a cancelled ctx as its cause.
	// After an error nothing incomplete is left behind.
	//
	// ctx is looked at between reads: cancelling does not interrupt a Read of r that
	// blocks. Put does not close r.
	Put(ctx context.Context, r io.Reader, limit int64) (Info, error)

	// Open returns a blob for reading; the caller closes it. An error is
	// [ErrNotFound] if there is no such blob, [ErrBadKey] if there cannot be, and
	// otherwise a *StorageError.
	Open(ctx context.Context, key Key) (Blob, error)

	// Claim makes a blob as new as one that was just put, so that no Remove which
	// was decided before takes it away. Errors are those of Open.
	Claim(ctx context.Context, key Key) error

	// List yields all blobs, in no promised order; one that comes or goes meanwhile
	// may be among them or not. After an error nothing more is yielded.
	List(ctx context.Context) iter.Seq2[Stored, error]

	// Remove takes a blob away if it was neither put nor claimed since before, and
	// reports whether it did. Whoever has opened it reads on (in S3, what was fetched
	// by then). It is not durable: a crash of the machine may bring the blob back. A
	// storage in which it might take away what is new says [ErrUnversioned] instead.
	Remove(ctx context.Context, key Key, before time.Time) (bool, error)
}

// Stored is a blob in a list.
type Stored struct {
	Key  Key
	Size int64
	At   time.Time // when it was last put or claimed, by the storage's clock
}

// Blob is the content of an opened blob. ReadAt may be called concurrently, but
// not after Close.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Info describes a stored blob.
type Info struct {
	Key    Key
	Size   int64
	SHA256 string // lower-case hex
}

// Key names a blob: "sha256/" and the digest in lower-case hex, spread over
// folders by its first byte.
//
//	sha256/9f/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//
// Keys are written into facts, so this form is for ever.
type Key string

// KeyOf returns the key of content with this SHA-256 digest.
func KeyOf(digest [sha256.Size]byte) Key {
	name := hex.EncodeToString(digest[:])
	return Key(keyPrefix + name[:2] + "/" + name)
}

// ParseKey checks a key that comes from outside.
func ParseKey(s string) (Key, error) {
	key := Key(s)
	if err := key.check(); err != nil {
		return "", err
	}
	return key, nil
}

const keyPrefix = "sha256/"

// check refuses what is no key. That a key equals the one made from its digest
// leaves no room for anything that a file system could take for more than a name.
func (k Key) check() error {
	var digest [sha256.Size]byte
	name := k[strings.LastIndexByte(string(k), '/')+1:]
	if len(name) != hex.EncodedLen(len(digest)) {
		return fmt.Errorf("%w: %.100q", ErrBadKey, string(k))
	}
	if _, err := hex.Decode(digest[:], []byte(name)); err != nil || KeyOf(digest) != k {
		return fmt.Errorf("%w: %.100q", ErrBadKey, string(k))
	}
	return nil
}

var (
	// ErrNotFound: there is no blob of this key. It may have expired.
	ErrNotFound = errors.New("blob: not found")
	// ErrBadKey: no store gives out such a key.
	ErrBadKey = errors.New("blob: not a blob key")
)

// TooLargeError refuses content of more than Limit bytes.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("blob: content is larger than %d bytes", e.Limit)
}

// ReadError says that the content could not be read to its end. The storage is
// well; whoever sends the content has to send it again.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return "blob: reading the content: " + e.Err.Error() }
func (e *ReadError) Unwrap() error { return e.Err }

// StorageError says that the storage failed, and at what. The content may be
// fine: put it again once the storage is well (a full disk, a missing right, a
// folder that was removed).
type StorageError struct {
	Op  string
	Err error
}

func (e *StorageError) Error() string {
	return "blob: storage failed to " + e.Op + ": " + e.Err.Error()
}
func (e *StorageError) Unwrap() error { return e.Err }
