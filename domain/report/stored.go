package report

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// ErrGone says that there is no such blob and there will be none.
var ErrGone = errors.New("the blob is gone")

// ReadStored is Read of the blob that a fact names: it reads at most MaxBytes, to
// the end, and wraps ErrDamaged too when the digest is not the one that the fact
// speaks of. What each was called with until then is worth nothing. A fact that
// names no digest is taken at its word. The header says whose report it is.
func ReadStored(blob io.Reader, digest string, each func(Finding) error) (Header, error) {
	sum := sha256.New()
	r := io.TeeReader(io.LimitReader(blob, MaxBytes), sum)
	h, err := Read(r, each)
	if err != nil {
		return h, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return h, fmt.Errorf("read scan report: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); digest != "" && got != digest {
		return h, fmt.Errorf("%w: its digest is %s and the fact says %s", ErrDamaged, got, digest)
	}
	return h, nil
}
