package node

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	backupFolder = "backup" // in the data folder, while a backup is made
	backupNotice = "factgate-backup.json"
	backupEnd    = "factgate-backup.end" // the last entry: without it something is missing
	backupFormat = "factgate-node-backup-1"
	maxNotice    = 64 << 10
)

// BackupNotice is the first entry of a backup.
type BackupNotice struct {
	Format   string    `json:"format"`
	Position uint64    `json:"position"` // at least everything up to here is in it
	Made     time.Time `json:"made"`
}

// Backup writes a tar archive of the log to w: everything that was acknowledged when
// it was called, and maybe more. The node serves meanwhile. Only one backup is made
// at a time.
func (n *Node) Backup(ctx context.Context, w io.Writer) (notice BackupNotice, err error) {
	if !n.backup.TryLock() {
		return notice, errors.New("a backup is being made already: wait until it is done")
	}
	defer n.backup.Unlock()
	files := n.log.files
	folder := files.PathJoin(n.dir, backupFolder)
	if err := files.RemoveAll(folder); err != nil { // what a crash has left
		return notice, err
	}
	notice = BackupNotice{Format: backupFormat, Position: n.committer.horizon.durable(), Made: time.Now().UTC()}
	// The tables keep no log of their own: what is to be in the checkpoint is flushed.
	if err := n.log.db.Flush(); err != nil {
		return notice, fmt.Errorf("back up: %w", err)
	}
	defer func() { err = errors.Join(err, files.RemoveAll(folder)) }()
	if err := n.log.db.Checkpoint(folder); err != nil {
		return notice, fmt.Errorf("back up: %w", err)
	}
	names, err := files.List(folder)
	if err != nil {
		return notice, err
	}
	archive := tar.NewWriter(w)
	mark := func(name string) error {
		text, err := json.Marshal(notice)
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), ModTime: notice.Made}); err != nil {
			return err
		}
		_, err = archive.Write(text)
		return err
	}
	if err := mark(backupNotice); err != nil {
		return notice, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return notice, err
		}
		if err := addToArchive(archive, files, files.PathJoin(folder, name), name, notice.Made); err != nil {
			return notice, fmt.Errorf("back up %s: %w", name, err)
		}
	}
	if err := mark(backupEnd); err != nil {
		return notice, err
	}
	return notice, archive.Close()
}

func addToArchive(archive *tar.Writer, files vfs.FS, from, name string, made time.Time) (err error) {
	file, err := files.Open(from, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: made}); err != nil {
		return err
	}
	_, err = io.CopyN(archive, file, info.Size())
	return err
}

// Restore makes the data folder dir out of a backup. The folder must not exist, or be
// empty; it appears whole or, after an error, not at all. Let a node open it and
// verify it before it is trusted.
func Restore(ctx context.Context, dir string, r io.Reader) (notice BackupNotice, err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return notice, fmt.Errorf("restore: %s is not empty: name a folder that does not exist yet", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return notice, fmt.Errorf("restore: %w", err)
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return notice, fmt.Errorf("restore: %w", err)
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restoring-")
	if err != nil {
		return notice, fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(unfinished)) }()
	archive := tar.NewReader(r)
	for first := true; ; first = false {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return notice, fmt.Errorf("restore: this is no whole backup: %w", err)
		}
		if !first && header.Name == backupEnd {
			break
		}
		if err := ctx.Err(); err != nil {
			return notice, err
		}
		if first {
			if notice, err = readNotice(header, archive); err != nil {
				return notice, fmt.Errorf("restore: %w", err)
			}
			continue
		}
		if err := extract(header, archive, unfinished); err != nil {
			return notice, fmt.Errorf("restore %q: %w", header.Name, err)
		}
	}
	if err := errors.Join(syncDir(vfs.Default, unfinished), os.Remove(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return notice, fmt.Errorf("restore: %w", err)
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return notice, fmt.Errorf("restore: %w", err)
	}
	return notice, syncDir(vfs.Default, filepath.Dir(dir))
}

func readNotice(header *tar.Header, r io.Reader) (notice BackupNotice, err error) {
	if header.Name != backupNotice || header.Size > maxNotice {
		return notice, errors.New("this is no backup of a node: it does not begin with " + backupNotice)
	}
	if err := json.NewDecoder(r).Decode(&notice); err != nil {
		return notice, fmt.Errorf("read %s: %w", backupNotice, err)
	}
	if notice.Format != backupFormat {
		return notice, fmt.Errorf("the backup has format %q and this node reads %q: use the release that made it", notice.Format, backupFormat)
	}
	return notice, nil
}

// extract writes one file of a backup. Backups are flat: any other name is hostile.
func extract(header *tar.Header, r io.Reader, dir string) error {
	name := header.Name
	if header.Typeflag != tar.TypeReg || name != path.Base(name) || strings.ContainsAny(name, `/\`) || name == "." || name == ".." || name == "" {
		return errors.New("a backup holds plain files in one folder and nothing else")
	}
	file, err := os.OpenFile(filepath.Join(dir, name), //nolint:gosec // name is checked above
		os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(file, r); err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
