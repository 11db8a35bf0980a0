package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/projections"
)

// blobReader lets the projector read scan reports, and rescans ask for packages.
type blobReader struct{ store blob.Store }

func (b blobReader) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	file, err := b.store.Open(ctx, blob.Key(key))
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrBadKey) {
		return nil, fmt.Errorf("%w: %w", projections.ErrBlobGone, err)
	}
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(file, 0, file.Size()), file}, nil
}

// has claims a blob for a scan to come, and reports whether it is still there.
func (b blobReader) has(ctx context.Context, key string) (bool, error) {
	err := b.store.Claim(ctx, blob.Key(key))
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrBadKey) {
		return false, nil
	}
	return err == nil, err
}
