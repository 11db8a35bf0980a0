package commands

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// idempotencyKeys is the name space of task ids that derive from (project, key).
var idempotencyKeys = eventstore.ID(uuid.MustParse("6f1d9c1e-5d6b-5c53-9b60-3f0a4f4f6a11"))

// Upload makes a task of a package that is already stored as a blob.
type Upload struct {
	BlobKey, FileName, SHA256 string
	Size                      int64
	Project, Version          string
	By                        string // a person's name; the facts hold a token
	// IdempotencyKey, if given, names the task within its project: uploading
	// again gives the same task.
	IdempotencyKey string
	Now            time.Time
}

// Upload returns the task's id. The fact ZipUploaded is durable when it returns.
func (c *Commands) Upload(ctx context.Context, u Upload) (taskID string, done Done, err error) {
	if u.IdempotencyKey != "" {
		taskID = eventstore.DeriveID(idempotencyKeys, u.Project+"\x00"+u.IdempotencyKey).String()
	} else {
		id, err := uuid.NewV7()
		if err != nil {
			return "", Done{}, err
		}
		taskID = id.String()
	}
	by, err := c.Pseudonym(ctx, u.By)
	if err != nil {
		return "", Done{}, err
	}
	done, err = c.execute(ctx, taskID, Origin{Actor: by}, func(s task.State, _ []task.Recorded) ([]task.Fact, error) {
		return task.Decide(s, task.Upload{Zip: task.ZipUploaded{
			TaskID: taskID, FilePath: u.BlobKey, FileName: u.FileName, Size: u.Size, SHA256: u.SHA256,
			Project: u.Project, Version: u.Version, UploadedBy: by, UploadTime: u.Now.UTC(),
		}})
	})
	return taskID, done, err
}
