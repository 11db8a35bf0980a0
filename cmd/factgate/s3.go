package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	"github.com/factgate/factgate/internal/blob"
)

const (
	blobsHelp = "s3://BUCKET/PREFIX, or a folder that exists and is shared by all roles"
	s3Help    = `

Blobs in S3 (--blobs s3://BUCKET/PREFIX) are asked for with AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY and, if there is one, AWS_SESSION_TOKEN, in AWS_REGION, at
FACTGATE_S3_ENDPOINT (https://HOST:PORT; default: Amazon's).`
)

// inS3 tells an address in S3 from a folder.
func inS3(blobs string) bool {
	scheme, _, found := strings.Cut(blobs, ":")
	return found && strings.EqualFold(scheme, "s3")
}

// openBucket opens blobs in S3. What waiting cannot cure is an error; a store that is
// away is not: uploads are refused and scans wait until it is there.
func openBucket(ctx context.Context, address string, logger *slog.Logger) (blob.Store, error) {
	bucket, prefix, err := blob.ParseS3(address)
	if err != nil {
		return nil, err
	}
	options := blob.S3Options{
		Bucket: bucket, Prefix: prefix, Endpoint: os.Getenv("FACTGATE_S3_ENDPOINT"),
		Region:    cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	}
	store, err := blob.OpenS3(options)
	if err != nil {
		return nil, err
	}
	err = store.Probe(ctx)
	var away *blob.StorageError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &away):
		logger.Warn("the blob store is away; uploads are refused until it is back", "where", options.String(), "error", err)
	case err != nil:
		return nil, err
	}
	return store, nil
}
