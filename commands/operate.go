package commands

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// Cancel withdraws a task that has no verdict yet.
func (c *Commands) Cancel(ctx context.Context, taskID string, by Origin, w task.Cancel) (Done, error) {
	return c.execute(ctx, taskID, by, decision(w))
}

// There claims a blob for whatever comes now, and reports whether it is still
// stored.
type There func(ctx context.Context, blobKey string) (bool, error)

// Retry asks for another attempt of one sub-task. It is refused when the package has
// expired: the attempt could not but fail.
func (c *Commands) Retry(ctx context.Context, taskID string, by Origin, w task.RequestRetry, there There) (Done, error) {
	return c.execute(ctx, taskID, by, c.withPackage(ctx, w, there))
}

// Replay asks for another attempt of a sub-task that was parked, once for each
// dead letter, and is refused as Retry is.
func (c *Commands) Replay(ctx context.Context, taskID string, by Origin, w task.ReplayDeadLetter, there There) (Done, error) {
	return c.execute(ctx, taskID, by, c.withPackage(ctx, w, there))
}

// withPackage decides a wish that is of use only while the package is stored. What
// is refused or so already is not asked for it.
func (c *Commands) withPackage(ctx context.Context, w task.Command, there There) func(task.State, []task.Recorded) ([]task.Fact, error) {
	return func(s task.State, _ []task.Recorded) ([]task.Fact, error) {
		facts, err := task.Decide(s, w)
		if err != nil || len(facts) == 0 || there == nil || s.Uploaded == nil {
			return facts, err
		}
		return facts, claim(ctx, there, s.Uploaded.FilePath)
	}
}

func claim(ctx context.Context, there There, blobKey string) error {
	switch is, err := there(ctx, blobKey); {
	case err != nil:
		return &domain.Error{Kind: domain.Unavailable, Rule: "blobs.unavailable",
			Msg: "the blob store does not answer; try again in a moment", MsgZH: "对象存储暂时无响应，请稍后重试", Err: err}
	case !is:
		return &domain.Error{Kind: domain.Refused, Rule: "package.expired",
			Msg: "the package is not kept any more; upload it again", MsgZH: "该包已不再保留，请重新上传"}
	}
	return nil
}

// Discard gives up on a dead letter.
func (c *Commands) Discard(ctx context.Context, taskID string, by Origin, w task.DiscardDeadLetter) (Done, error) {
	return c.execute(ctx, taskID, by, decision(w))
}

// rescans is the name space of task ids that derive from (task, key).
var rescans = eventstore.ID(uuid.MustParse("0b0a5f0e-58a5-5c1f-9f6e-6f3a1f0c7d52"))

// Rescan makes a new task of an older one's package.
type Rescan struct {
	TaskID string // the older one
	Reason string
	// IdempotencyKey, if given, names the new task among the older one's rescans.
	IdempotencyKey string
	Now            time.Time
	There          There
}

// Rescan returns the new task's id. The older task is not touched; the new one
// names it in rescanOf.
func (c *Commands) Rescan(ctx context.Context, by Origin, r Rescan) (taskID string, done Done, err error) {
	if err := task.CheckReason(r.Reason); err != nil {
		return "", Done{}, err
	}
	facts, err := c.Load(ctx, r.TaskID)
	if err != nil {
		return "", Done{}, err
	}
	older := task.Fold(facts)
	if older.Uploaded == nil {
		return "", Done{}, &domain.Error{Kind: domain.NotFound, Rule: "task.unknown", Msg: "there is no such task", MsgZH: "任务不存在"}
	}
	if err := claim(ctx, r.There, older.Uploaded.FilePath); err != nil {
		return "", Done{}, err
	}
	zip := *older.Uploaded
	if r.IdempotencyKey != "" {
		taskID = eventstore.DeriveID(rescans, zip.TaskID+"\x00"+r.IdempotencyKey).String()
	} else {
		id, err := uuid.NewV7()
		if err != nil {
			return "", Done{}, err
		}
		taskID = id.String()
	}
	zip.RescanOf, zip.RescanReason = zip.TaskID, r.Reason
	zip.TaskID, zip.UploadedBy, zip.UploadTime = taskID, by.Actor, r.Now.UTC()
	done, err = c.execute(ctx, taskID, by, decision(task.Upload{Zip: zip}))
	return taskID, done, err
}
