package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/projections"
)

// blobReader lets the projector read scan reports.
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
