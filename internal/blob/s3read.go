package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
)

// How an object is read: packages are zips, whose directory is at the end, and whose
// entries lie one behind the other. So the end comes with the request that opens it,
// and is kept; the rest comes in chunks, of which the latest few are kept, and several
// at once where the one before was asked for too.
const (
	s3Tail   = 256 << 10
	s3Chunk  = 512 << 10
	s3Ahead  = 4 // chunks in a request when reading on
	s3Chunks = 8 // kept for each opened blob
	s3Tries  = 3 // at a chunk whose bytes break off
)

// Open implements Store. Reads go on after ctx has ended, until Close.
func (s *S3) Open(ctx context.Context, key Key) (Blob, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("blob: open: %w", err)
	}
	if err := key.check(); err != nil {
		return nil, err
	}
	tail, size, err := s.openTail(ctx, s.name(key))
	switch {
	case absent(err):
		return nil, fmt.Errorf("%w: %s", ErrNotFound, key)
	case err != nil:
		return nil, s.failed(ctx, "open", "open a blob", err)
	}
	reading, end := context.WithCancel(context.WithoutCancel(ctx))
	return &objectBlob{
		store: s, name: s.name(key), size: size, tail: tail, tailAt: size - int64(len(tail)),
		ctx: reading, end: end, chunks: make(map[int64]*chunk),
	}, nil
}

// openTail fetches the end of an object, and with it its size.
func (s *S3) openTail(ctx context.Context, name string) (tail []byte, size int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s3Patience)
	defer cancel()
	for range s3Tries {
		var options minio.GetObjectOptions
		if err := options.SetRange(0, -s3Tail); err != nil {
			return nil, 0, err
		}
		var body io.ReadCloser
		var info minio.ObjectInfo
		var header map[string][]string
		body, info, header, err = s.client.GetObject(ctx, s.where.Bucket, name, options)
		if minio.ToErrorResponse(err).Code == minio.InvalidRange { // nothing has no end, and to some stores a little hasn't either
			body, info, header, err = s.client.GetObject(ctx, s.where.Bucket, name, minio.GetObjectOptions{})
		}
		if err != nil {
			return nil, 0, err
		}
		size, err = sizeOf(header, info.Size)
		if err == nil {
			tail = make([]byte, min(size, s3Tail))
			_, err = io.ReadFull(body, tail)
		}
		_ = body.Close()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return tail, size, err
}

// sizeOf reads the whole size out of "bytes 100-199/200".
func sizeOf(header map[string][]string, length int64) (int64, error) {
	ranges := header["Content-Range"]
	if len(ranges) == 0 {
		if length <= s3Tail {
			return length, nil // the whole is not longer than the end
		}
		return 0, errors.New("the store does not serve parts of objects")
	}
	_, whole, _ := strings.Cut(ranges[0], "/")
	size, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || size < 0 {
		return 0, fmt.Errorf("the store answers with a range that makes no sense: %.60q", ranges[0])
	}
	return size, nil
}

// objectBlob is an opened object.
type objectBlob struct {
	store  *S3
	name   string
	size   int64
	tail   []byte
	tailAt int64
	ctx    context.Context
	end    context.CancelFunc

	mu     sync.Mutex
	closed bool
	chunks map[int64]*chunk
	recent []int64 // the chunks' numbers, the latest used last
}

// chunk is a stretch of the object, there or on its way.
type chunk struct {
	ready chan struct{} // closed when data or err is set
	data  []byte
	err   error
}

func (b *objectBlob) Size() int64 { return b.size }

func (b *objectBlob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return os.ErrClosed
	}
	b.closed, b.chunks, b.tail = true, nil, nil
	b.end()
	return nil
}

func (b *objectBlob) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("blob: read at %d", off)
	}
	for n < len(p) {
		part, err := b.at(off + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], part)
	}
	return n, nil
}

// at returns some bytes from off on.
func (b *objectBlob) at(off int64) ([]byte, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, &StorageError{Op: "read a blob", Err: os.ErrClosed}
	}
	if off >= b.size {
		b.mu.Unlock()
		return nil, io.EOF
	}
	if off >= b.tailAt {
		part := b.tail[off-b.tailAt:]
		b.mu.Unlock()
		return part, nil
	}
	number := off / s3Chunk
	c, fetch := b.chunk(number)
	b.mu.Unlock()
	if fetch != nil {
		fetch()
	}
	<-c.ready
	if c.err != nil {
		return nil, c.err
	}
	return c.data[off-number*s3Chunk:], nil
}

// chunk returns a chunk, and what is to be done to have it if nobody does it yet. b.mu
// is held.
func (b *objectBlob) chunk(number int64) (*chunk, func()) {
	if c, ok := b.chunks[number]; ok {
		i := slices.Index(b.recent, number)
		b.recent = append(slices.Delete(b.recent, i, i+1), number)
		return c, nil
	}
	many := int64(1)
	if _, readOn := b.chunks[number-1]; readOn {
		many = s3Ahead
	}
	var run []*chunk
	for n := number; n < number+many && n*s3Chunk < b.tailAt; n++ {
		if _, there := b.chunks[n]; there {
			break
		}
		c := &chunk{ready: make(chan struct{})}
		run, b.chunks[n] = append(run, c), c
		b.recent = append(b.recent, n)
	}
	for len(b.recent) > s3Chunks {
		delete(b.chunks, b.recent[0])
		b.recent = b.recent[1:]
	}
	return run[0], func() { b.fetch(number, run) }
}

// fetch fills a run of chunks. Those that could not be filled are forgotten, so that
// the next reader asks again.
func (b *objectBlob) fetch(first int64, run []*chunk) {
	from, to := first*s3Chunk, min((first+int64(len(run)))*s3Chunk, b.tailAt)
	var err error
	filled := 0
	for range s3Tries {
		var n int
		n, err = b.fill(from+int64(filled)*s3Chunk, to, run[filled:])
		if filled += n; err == nil || absent(err) || b.ctx.Err() != nil {
			break
		}
	}
	if filled == len(run) {
		return
	}
	switch {
	case b.ctx.Err() != nil:
		err = os.ErrClosed
	case absent(err):
		err = fmt.Errorf("%w: it was removed while it was read", ErrNotFound)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range run[filled:] {
		number := first + int64(filled+i)
		if b.chunks[number] == c {
			delete(b.chunks, number)
			b.recent = slices.DeleteFunc(b.recent, func(n int64) bool { return n == number })
		}
		c.err = &StorageError{Op: "read a blob", Err: err}
		close(c.ready)
	}
}

// fill fetches one stretch, and returns how many chunks it filled.
func (b *objectBlob) fill(from, to int64, run []*chunk) (filled int, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, s3Patience)
	defer cancel()
	var options minio.GetObjectOptions
	if err := options.SetRange(from, to-1); err != nil {
		return 0, err
	}
	body, _, header, err := b.store.client.GetObject(ctx, b.store.where.Bucket, b.name, options)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	if from > 0 && len(header["Content-Range"]) == 0 {
		return 0, errors.New("the store does not serve parts of objects")
	}
	for _, c := range run {
		data := make([]byte, min(s3Chunk, to-from))
		if _, err := io.ReadFull(body, data); err != nil {
			return filled, err
		}
		c.data = data
		close(c.ready)
		from += int64(len(data))
		filled++
	}
	return filled, nil
}
