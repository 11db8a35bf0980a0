package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/internal/blob"
	"github.com/factgate/factgate/internal/zippkg"
)

// Limits of a request besides those of the package.
const (
	maxField = 256     // bytes of project, version, uploadedBy, file name, Idempotency-Key
	maxParts = 16      // of a multipart body
	overhead = 1 << 20 // of a multipart body around the package
)

// uploaded is the answer to an upload.
type uploaded struct {
	TaskID  string            `json:"taskId"`
	Status  string            `json:"status"`
	Message string            `json:"message"`
	SHA256  string            `json:"sha256"`
	Size    int64             `json:"size"`
	Existed bool              `json:"existed"` // the Idempotency-Key had made this task before
	After   string            `json:"position"`
	Links   map[string]string `json:"links"`
}

// upload takes POST /api/uploads: a zip as the raw body (application/zip; project,
// version, fileName and uploadedBy as query parameters), or as part "file" of
// multipart/form-data with the same names as fields. The package streams into the
// blob store while it is hashed; ZipUploaded is durable before the answer, which
// needs no scanner, no coordinator and no database.
func (a *api) upload(w http.ResponseWriter, r *http.Request) {
	limit := a.limit()
	if r.ContentLength > limit+overhead {
		a.count("zip.too_large")
		a.refuseUnread(w, r, tooLarge(limit))
		return
	}
	p, err := a.receive(r, http.MaxBytesReader(nil, r.Body, limit+overhead))
	if err != nil {
		a.count(codeOf(err))
		a.refuseUnread(w, r, err)
		return
	}
	if err := a.inspect(r.Context(), p.Key); err != nil {
		a.count(codeOf(err))
		a.refuse(w, r, err)
		return
	}
	id, done, err := a.Commands.Upload(r.Context(), commands.Upload{
		BlobKey: string(p.Key), FileName: p.fields["fileName"], SHA256: p.SHA256, Size: p.Size,
		Project: p.fields["project"], Version: p.fields["version"], By: p.fields["uploadedBy"],
		IdempotencyKey: r.Header.Get("Idempotency-Key"), Now: time.Now(),
	})
	if err != nil {
		a.count(codeOf(err))
		a.refuse(w, r, err)
		return
	}
	if len(done.Facts) > 0 {
		a.count("accepted")
	} else {
		a.count("existed")
	}
	message := "task created"
	if chinese(r) {
		message = "任务创建成功"
	}
	w.Header().Set("Location", "/api/tasks/"+id+"/package")
	answer(w, http.StatusAccepted, uploaded{
		TaskID: id, Status: string(done.State.Phase()), Message: message, SHA256: p.SHA256, Size: p.Size,
		Existed: len(done.Facts) == 0, After: fmt.Sprint(done.Position),
		Links: map[string]string{
			"package": "/api/tasks/" + id + "/package",
			"graphql": "/graphql?query=" + url.QueryEscape(fmt.Sprintf(`{task(id:%q){id phase status}}`, id)),
		},
	})
}

func (a *api) count(code string) {
	if a.Uploaded != nil {
		a.Uploaded(code)
	}
}

// codeOf is what refuse shows as code.
func codeOf(err error) string { return cmp.Or(domain.RuleOf(err), "internal") }

// maxDrained is how much of a refused body is read after the answer.
const maxDrained = 256 << 20

// refuseUnread refuses while the client is still sending. Closing at once would
// reset the connection, and many clients would then never see why: so the answer
// goes out first, and what still comes is thrown away for a while.
func (a *api) refuseUnread(w http.ResponseWriter, r *http.Request, err error) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 has it always
	w.Header().Set("Connection", "close")
	a.refuse(w, r, err)
	_ = control.Flush()
	_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
}

func (a *api) limit() int64 {
	if a.Limits.Upload > 0 {
		return a.Limits.Upload
	}
	return zippkg.DefaultLimits().Upload
}

// received is a stored package and what its sender says of it.
type received struct {
	blob.Info
	fields map[string]string
}

// receive stores the package of either form of request.
func (a *api) receive(r *http.Request, body io.Reader) (received, error) {
	key := r.Header.Get("Idempotency-Key")
	if err := checkField("Idempotency-Key", key); err != nil {
		return received{}, err
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		media = r.Header.Get("Content-Type")
	}
	fields := map[string]string{}
	for _, name := range []string{"project", "version", "uploadedBy", "fileName"} {
		fields[name] = r.URL.Query().Get(name)
		if err := checkField(name, fields[name]); err != nil {
			return received{}, err
		}
	}
	var stored blob.Info
	switch media {
	case "application/zip", "application/x-zip-compressed", "application/octet-stream":
		stored, err = a.store(r, body)
	case "multipart/form-data":
		stored, err = a.parts(r, multipart.NewReader(body, params["boundary"]), fields)
	default:
		return received{}, &domain.Error{Kind: domain.Invalid, Rule: "upload.content_type",
			Msg:   fmt.Sprintf("Content-Type %.60q is not taken; send the zip as application/zip, or as part \"file\" of multipart/form-data", media),
			MsgZH: fmt.Sprintf("不支持的 Content-Type %.60q；请以 application/zip 上传，或作为 multipart/form-data 的 file 部分", media)}
	}
	if err != nil {
		return received{}, err
	}
	if fields["project"] == "" {
		fields["project"] = "default"
	}
	if fields["fileName"] == "" {
		fields["fileName"] = "package.zip"
	}
	return received{stored, fields}, nil
}

// parts reads a multipart body as it comes, fields before or after the file.
func (a *api) parts(r *http.Request, form *multipart.Reader, fields map[string]string) (stored blob.Info, err error) {
	for range maxParts {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			if stored.Key == "" {
				return stored, &domain.Error{Kind: domain.Invalid, Rule: "upload.no_file",
					Msg: `the form has no part "file"; try: curl -F file=@package.zip`, MsgZH: `表单中没有 file 部分；示例：curl -F file=@package.zip`}
			}
			return stored, nil
		}
		if err != nil {
			return stored, a.broken(r, err)
		}
		name := part.FormName()
		_, wanted := fields[name]
		switch {
		case name == "file" && stored.Key != "":
			return stored, &domain.Error{Kind: domain.Invalid, Rule: "upload.many_files",
				Msg: `the form has more than one part "file"; upload one package at a time`, MsgZH: `表单中有多个 file 部分；请一次上传一个包`}
		case name == "file":
			if fields["fileName"] == "" {
				// Browsers of old sent whole paths.
				fields["fileName"] = path.Base(strings.ReplaceAll(part.FileName(), `\`, "/"))
				if err := checkField("fileName", fields["fileName"]); err != nil {
					return stored, err
				}
			}
			if stored, err = a.store(r, part); err != nil {
				return stored, err
			}
		case wanted:
			value, err := io.ReadAll(io.LimitReader(part, maxField+1))
			if err != nil {
				return stored, a.broken(r, err)
			}
			fields[name] = string(value)
			if err := checkField(name, fields[name]); err != nil {
				return stored, err
			}
		}
	}
	return stored, &domain.Error{Kind: domain.Invalid, Rule: "upload.form", Msg: fmt.Sprintf("the form has more than %d parts", maxParts)}
}

func checkField(name, value string) error {
	printable := utf8.ValidString(value) && !strings.ContainsFunc(value, func(c rune) bool { return unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) })
	if len(value) > maxField || !printable {
		return &domain.Error{Kind: domain.Invalid, Rule: "upload.field",
			Msg:   fmt.Sprintf("%s must be at most %d bytes of printable UTF-8", name, maxField),
			MsgZH: fmt.Sprintf("%s 最长 %d 字节，且须为可打印的 UTF-8", name, maxField)}
	}
	return nil
}

// store streams the package into the blob store.
func (a *api) store(r *http.Request, body io.Reader) (blob.Info, error) {
	info, err := a.Blobs.Put(r.Context(), body, a.limit())
	var large *blob.TooLargeError
	var reading *blob.ReadError
	switch {
	case err == nil:
		return info, nil
	case errors.As(err, &large):
		return info, tooLarge(large.Limit)
	case errors.As(err, &reading):
		return info, a.broken(r, reading.Err)
	case r.Context().Err() != nil:
		return info, a.broken(r, err)
	default:
		return info, unavailable("the package could not be stored; try again in a moment", "包暂时无法保存，请稍后重试", err)
	}
}

func (a *api) broken(r *http.Request, err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(a.limit())
	}
	if body, ok := r.Body.(*steadyBody); ok && body.stalled != nil { // a form read in part hides why
		return body.stalled
	}
	return &domain.Error{Kind: domain.Invalid, Rule: "upload.broken",
		Msg: "the upload broke off before its end, or its form is damaged; send it again", MsgZH: "上传中断或表单损坏，请重新上传", Err: err}
}

func tooLarge(limit int64) error {
	return &domain.Error{Kind: domain.Refused, Rule: "zip.too_large",
		Msg:   fmt.Sprintf("the package is larger than the limit of %d MiB; split it, or ask the operator to raise the limit", limit>>20),
		MsgZH: fmt.Sprintf("包超过 %d MiB 的上限；请拆分，或请管理员提高上限", limit>>20)}
}

func unreadable(err error) error {
	return unavailable("the package could not be read back; try again in a moment", "包暂时无法读取，请稍后重试", err)
}

func unavailable(en, zh string, err error) error {
	return &domain.Error{Kind: domain.Unavailable, Rule: "blobs.unavailable", Msg: en, MsgZH: zh, Err: err}
}

// inspect refuses what no scanner could read: the stored blob must open as a zip.
func (a *api) inspect(ctx context.Context, key blob.Key) error {
	file, err := a.Blobs.Open(ctx, key)
	if err != nil {
		return unreadable(err)
	}
	defer file.Close()
	_, err = zippkg.Open(file, file.Size(), a.Limits)
	var bad *zippkg.Error
	if errors.As(err, &bad) {
		en, zh := bad.Text()
		return &domain.Error{Kind: domain.Refused, Rule: string(bad.Code), Msg: en, MsgZH: zh}
	}
	if err != nil {
		return unreadable(err)
	}
	return nil
}

// download gives the package back as it was uploaded.
func (a *api) download(w http.ResponseWriter, r *http.Request) {
	facts, err := a.Commands.Load(r.Context(), chi.URLParam(r, "id"))
	if err == nil && len(facts) == 0 {
		err = &domain.Error{Kind: domain.NotFound, Rule: "task.unknown", Msg: "there is no such task", MsgZH: "任务不存在"}
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	zip, ok := uploadOf(facts)
	if !ok {
		a.refuse(w, r, fmt.Errorf("task %s does not begin with an upload", chi.URLParam(r, "id")))
		return
	}
	file, err := a.Blobs.Open(r.Context(), blob.Key(zip.FilePath))
	if errors.Is(err, blob.ErrNotFound) {
		err = &domain.Error{Kind: domain.NotFound, Rule: "package.expired", Msg: "the package is not kept any more; its facts are", MsgZH: "包已不再保留；其事实仍在"}
	} else if err != nil {
		err = unreadable(err)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": zip.FileName}))
	w.Header().Set("ETag", `"`+zip.SHA256+`"`)
	http.ServeContent(w, r, "", zip.UploadTime, io.NewSectionReader(file, 0, file.Size()))
}

func uploadOf(facts []task.Recorded) (task.ZipUploaded, bool) {
	zip, ok := facts[0].Fact.(task.ZipUploaded)
	return zip, ok
}
