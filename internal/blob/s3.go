package blob

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3 is a Store in a bucket, of Amazon or of whatever speaks its protocol:
//
//	s3://BUCKET/PREFIX/sha256/9f/9f86d081…   a blob, complete and durable
//
// A Put spools the content to a file on this machine first, which has no name and so
// leaves nothing behind, and then sends it in one request. Only then the digest is
// known, which is the blob's name: sending it under another name meanwhile would want
// a copy inside the store, and leave half of it there after a crash. And content that
// is too large, or breaks off, never reaches the bucket. The request carries the
// digest, so the store refuses what was spoiled on the way.
//
// Remove needs a bucket that keeps versions. S3 has no way to delete an object unless
// it was renewed, but it can delete those versions of it that were seen to be old, and
// a newer one stays. Elsewhere Remove says [ErrUnversioned] and takes nothing away.
// There, content that is put again or claimed is one version more, and takes its room
// until it is removed or the bucket's own rules expire what is not current.
//
// In two things it is less than [Dir]. Whoever has opened a blob that is removed
// reads on only what was fetched already; then it is a *StorageError that is also
// [ErrNotFound]. And the storage's clock has whole seconds, so a blob counts as up to
// a second newer than it is.
type S3 struct {
	client *minio.Core
	where  S3Options
}

var _ Store = (*S3)(nil)

// S3Options say where the blobs are and who asks for them. Printed, they keep the
// secrets to themselves.
type S3Options struct {
	Bucket   string
	Prefix   string // of all names; "" or without slashes around it
	Endpoint string // such as https://s3.example.com:9000; "" is Amazon's
	Region   string // "" is us-east-1

	AccessKey, SecretKey, SessionToken string

	Spool string // folder for content on its way; "" is that for temporary files
}

// String leaves the secrets out.
func (o S3Options) String() string {
	return fmt.Sprintf("s3://%s/%s at %s", o.Bucket, o.Prefix, cmp.Or(o.Endpoint, "Amazon"))
}

// GoString leaves the secrets out.
func (o S3Options) GoString() string { return o.String() }

var (
	// ErrUnversioned: the bucket keeps no versions, so nothing can be removed from it
	// without the danger of removing what was just stored.
	ErrUnversioned = errors.New("the bucket keeps no versions, without which old blobs cannot be removed safely; turn its versioning on")
	// ErrSettings: no waiting helps; the bucket's name, its region or the credentials
	// are wrong.
	ErrSettings = errors.New("the store refuses")
)

const (
	s3Patience = time.Minute // for a request that moves no content
	s3Retries  = 4           // of a request that failed for no fault of ours
	s3Transfer = 15 * time.Minute
)

// ParseS3 takes s3://BUCKET/PREFIX apart.
func ParseS3(address string) (bucket, prefix string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", errors.New("this is not s3://BUCKET or s3://BUCKET/PREFIX") // the address may hold a secret
	}
	switch {
	case u.User != nil:
		return "", "", errors.New("credentials do not belong into s3://…; give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.Scheme != "s3" || u.Host == "" || u.Port() != "" || u.RawQuery != "" || u.Fragment != "":
		return "", "", errors.New("this is not s3://BUCKET or s3://BUCKET/PREFIX; the endpoint is given as FACTGATE_S3_ENDPOINT")
	}
	prefix = strings.Trim(u.Path, "/")
	for part := range strings.SplitSeq(prefix, "/") {
		if prefix != "" && (part == "" || part == "." || part == "..") {
			return "", "", errors.New("the prefix of s3://BUCKET/PREFIX must be plain names with single slashes between them")
		}
	}
	return u.Host, prefix, nil
}

// OpenS3 prepares the store. It asks nobody: see [S3.Probe].
func OpenS3(o S3Options) (*S3, error) {
	if o.Bucket == "" {
		return nil, errors.New("blob: there is no name of a bucket")
	}
	if o.AccessKey == "" || o.SecretKey == "" {
		return nil, errors.New("blob: there are no credentials for S3; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	host, secure := "s3.amazonaws.com", true
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, errors.New("blob: the endpoint of S3 must be http://HOST:PORT or https://HOST:PORT")
		}
		host, secure = u.Host, u.Scheme == "https"
	}
	client, err := minio.NewCore(host, &minio.Options{
		Creds:  credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken),
		Secure: secure, Region: cmp.Or(o.Region, "us-east-1"),
		BucketLookup: minio.BucketLookupPath, MaxRetries: s3Retries,
	})
	if err != nil {
		return nil, &StorageError{Op: "prepare its client", Err: err}
	}
	return &S3{client: client, where: o}, nil
}

// Probe asks whether the bucket is there. The error is [ErrSettings] if waiting does
// not help, and otherwise a *StorageError: the store may come back.
func (s *S3) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s3Patience)
	defer cancel()
	there, err := s.client.BucketExists(ctx, s.where.Bucket)
	switch {
	case err == nil && there:
		return nil
	case err == nil:
		return fmt.Errorf("%w: there is no bucket %s", ErrSettings, s.where.Bucket)
	}
	answer := minio.ToErrorResponse(err)
	if answer.StatusCode >= 400 && answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusRequestTimeout {
		return fmt.Errorf("%w the credentials or the region for bucket %s: %s", ErrSettings, s.where.Bucket, cmp.Or(answer.Code, http.StatusText(answer.StatusCode)))
	}
	return &StorageError{Op: "find its bucket", Err: err}
}

func (s *S3) name(key Key) string {
	if s.where.Prefix == "" {
		return string(key)
	}
	return s.where.Prefix + "/" + string(key)
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, r io.Reader, limit int64) (Info, error) {
	if err := context.Cause(ctx); err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	file, err := os.CreateTemp(s.where.Spool, "factgate-blob-*")
	if err != nil {
		return Info{}, &StorageError{Op: "create a temporary file", Err: err}
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil {
		return Info{}, &StorageError{Op: "create a temporary file", Err: err}
	}
	size, digest, err := copyHashing(ctx, file, r, limit)
	if err != nil {
		return Info{}, err
	}
	sending, cancel := context.WithTimeout(ctx, s3Transfer)
	defer cancel()
	key, sum := KeyOf(digest), hex.EncodeToString(digest[:])
	_, err = s.client.PutObject(sending, s.where.Bucket, s.name(key), io.NewSectionReader(file, 0, size), size, "", sum,
		// Not disabled, the digest would be that of pieces, and not be known at the end.
		minio.PutObjectOptions{ContentType: "application/octet-stream", DisableContentSha256: true})
	if err != nil {
		return Info{}, s.failed(ctx, "put", "store a blob", err)
	}
	return Info{Key: key, Size: size, SHA256: sum}, nil
}

// failed is the error of a request. Why ctx has ended says more than that it did.
func (s *S3) failed(ctx context.Context, verb, op string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("blob: %s: %w", verb, cause)
	}
	return &StorageError{Op: op, Err: err}
}

// absent tells that there is no such object, and not that there is no such bucket.
func absent(err error) bool { return minio.ToErrorResponse(err).Code == minio.NoSuchKey }

// Claim implements Store: an object that is copied onto itself is new.
func (s *S3) Claim(ctx context.Context, key Key) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("blob: claim: %w", err)
	}
	if err := key.check(); err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, s3Patience)
	defer cancel()
	_, err := s.client.Client.CopyObject(asking,
		minio.CopyDestOptions{Bucket: s.where.Bucket, Object: s.name(key), ReplaceMetadata: true, ContentType: "application/octet-stream"},
		minio.CopySrcOptions{Bucket: s.where.Bucket, Object: s.name(key)})
	switch {
	case err == nil:
		return nil
	case absent(err):
		return fmt.Errorf("%w: %s", ErrNotFound, key)
	}
	return s.failed(ctx, "claim", "claim a blob", err)
}

// List implements Store.
func (s *S3) List(ctx context.Context) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		if err := context.Cause(ctx); err != nil {
			yield(Stored{}, fmt.Errorf("blob: list: %w", err))
			return
		}
		listing, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.client.ListObjectsIter(listing, s.where.Bucket, minio.ListObjectsOptions{Prefix: s.name(keyPrefix), Recursive: true}) {
			if o.Err != nil {
				yield(Stored{}, s.failed(ctx, "list", "list its bucket", o.Err))
				return
			}
			key := Key(strings.TrimPrefix(o.Key, s.name("")))
			if key.check() != nil {
				continue // a stranger's object
			}
			if !yield(Stored{Key: key, Size: o.Size, At: o.LastModified}, nil) {
				return
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(Stored{}, fmt.Errorf("blob: list: %w", err))
		}
	}
}

// Remove implements Store. Versions are deleted from the oldest on, so that until the
// last one is gone the blob is there; one that came meanwhile is none of them.
func (s *S3) Remove(ctx context.Context, key Key, before time.Time) (bool, error) {
	if err := context.Cause(ctx); err != nil {
		return false, fmt.Errorf("blob: remove: %w", err)
	}
	if err := key.check(); err != nil {
		return false, err
	}
	asking, cancel := context.WithTimeout(ctx, s3Patience)
	defer cancel()
	versioning, err := s.client.GetBucketVersioning(asking, s.where.Bucket)
	if err != nil {
		return false, s.failed(ctx, "remove", "ask whether its bucket keeps versions", err)
	}
	if !versioning.Enabled() {
		return false, &StorageError{Op: "remove a blob", Err: ErrUnversioned}
	}
	var versions []minio.ObjectInfo
	for o := range s.client.ListObjectsIter(asking, s.where.Bucket, minio.ListObjectsOptions{Prefix: s.name(key), Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			return false, s.failed(ctx, "remove", "list a blob's versions", o.Err)
		}
		if o.IsLatest && o.IsDeleteMarker || !o.LastModified.Add(time.Second).Before(before) {
			return false, nil // somebody else deleted it, or it is new
		}
		versions = append(versions, o)
	}
	if err := asking.Err(); err != nil {
		return false, s.failed(ctx, "remove", "list a blob's versions", err)
	}
	slices.SortStableFunc(versions, func(a, b minio.ObjectInfo) int {
		switch {
		case a.IsLatest:
			return 1
		case b.IsLatest:
			return -1
		}
		return a.LastModified.Compare(b.LastModified)
	})
	for _, o := range versions {
		err := s.client.RemoveObject(asking, s.where.Bucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID})
		if err != nil && !absent(err) && minio.ToErrorResponse(err).Code != "NoSuchVersion" {
			return false, s.failed(ctx, "remove", "remove a blob", err)
		}
	}
	return len(versions) > 0, nil
}
