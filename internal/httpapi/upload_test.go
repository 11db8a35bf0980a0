package httpapi_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
	"github.com/factgate/factgate/internal/httpapi"
	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg"
)

// The API with a store and blobs and nothing else: no coordinator, no scanner, no
// database.
type bench struct {
	*testing.T
	url      string
	store    *testbench.Store
	commands *commands.Commands
}

func newBench(t *testing.T, limits zippkg.Limits) *bench {
	store := testbench.NewStore(t)
	c := commands.New(store)
	server := httptest.NewServer(httpapi.New(httpapi.Parts{
		Commands: c, Blobs: testbench.NewBlobs(t), Limits: limits, GraphQL: http.NotFoundHandler(), Console: http.NotFoundHandler(),
		Ready: store.Ping, Logger: testbench.Logger(t),
	}))
	t.Cleanup(server.Close)
	return &bench{t, server.URL, store, c}
}

// packed is a zip of files: name, content, ….
func packed(t *testing.T, files ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		require.NoError(t, err)
		_, err = f.Write([]byte(files[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

var ourFacts = eventstore.Filter{Types: task.Types()}

type answer struct {
	status            int
	TaskID, Status    string
	Message, Position string
	Existed           bool
	Links             map[string]string
	Refused           struct{ Code, Message string }
	header            http.Header
}

func (b *bench) post(path, contentType string, body io.Reader, header ...string) answer {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.url+path, body)
	require.NoError(b, err)
	req.Header.Set("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b, err)
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	require.NoError(b, json.NewDecoder(resp.Body).Decode(&a))
	return a
}

func (b *bench) raw(body []byte, header ...string) answer {
	return b.post("/api/uploads", "application/zip", bytes.NewReader(body), header...)
}

func (b *bench) facts(id string) []task.Recorded {
	facts, err := b.commands.Load(b.Context(), id)
	require.NoError(b, err)
	return facts
}

func TestARawZipBecomesATask(t *testing.T) {
	b := newBench(t, zippkg.Limits{})
	content := packed(t, "a.sql", "select 1")
	got := b.post("/api/uploads?project=dw&version=1.2&uploadedBy=li&fileName=%E5%8C%85.zip", "application/zip", bytes.NewReader(content))
	require.Equal(t, http.StatusAccepted, got.status)
	require.Equal(t, "UPLOADED", got.Status)
	require.Equal(t, "task created", got.Message)
	require.NotEmpty(t, got.Position)

	facts := b.facts(got.TaskID)
	require.Len(t, facts, 1, "durable before the answer")
	fact := facts[0].Fact.(task.ZipUploaded)
	require.Equal(t, "dw", fact.Project)
	require.Equal(t, "1.2", fact.Version)
	require.True(t, strings.HasPrefix(fact.UploadedBy, "person:v1:"), "no name of a person goes into the log")
	name, state := b.commands.NameOf(t.Context(), fact.UploadedBy)
	require.Equal(t, commands.Named, state)
	require.Equal(t, "li", name)
	require.Equal(t, "包.zip", fact.FileName)
	require.EqualValues(t, len(content), fact.Size)

	resp, err := http.Get(b.url + got.Links["package"])
	require.NoError(t, err)
	defer resp.Body.Close()
	back, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, content, back)
}

func TestMultipartTakesFieldsBeforeAndAfterTheFile(t *testing.T) {
	b := newBench(t, zippkg.Limits{})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("project", "dw"))
	file, err := form.CreateFormFile("file", `C:\temp\release.zip`)
	require.NoError(t, err)
	_, err = file.Write(packed(t, "a.sql", "select 1"))
	require.NoError(t, err)
	require.NoError(t, form.WriteField("version", "2.0"))
	require.NoError(t, form.WriteField("foreign", "ignored"))
	require.NoError(t, form.Close())
	got := b.post("/api/uploads", form.FormDataContentType(), &body, "Accept-Language", "zh-CN,zh;q=0.9")
	require.Equal(t, http.StatusAccepted, got.status)
	require.Equal(t, "任务创建成功", got.Message)
	fact := b.facts(got.TaskID)[0].Fact.(task.ZipUploaded)
	require.Equal(t, "dw", fact.Project)
	require.Equal(t, "2.0", fact.Version)
	require.Equal(t, "release.zip", fact.FileName)
}

func TestRefusalsAreTypedAndLeaveNoTask(t *testing.T) {
	b := newBench(t, zippkg.Limits{Upload: 2000, Entries: 3})
	good := packed(t, "a.sql", "select 1")
	var many bytes.Buffer
	w := zip.NewWriter(&many)
	for _, name := range []string{"1", "2", "3", "4"} {
		_, err := w.Create(name)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	form := func(parts ...string) (string, *bytes.Buffer) {
		var body bytes.Buffer
		f := multipart.NewWriter(&body)
		for _, p := range parts {
			part, err := f.CreateFormFile(p, "a.zip")
			require.NoError(t, err)
			_, err = part.Write(good)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
		return f.FormDataContentType(), &body
	}
	noFile, noFileBody := form("other")
	twoFiles, twoFilesBody := form("file", "file")
	for name, c := range map[string]struct {
		got    answer
		status int
		code   string
	}{
		"not a zip":    {b.raw([]byte("hello")), 422, "zip.not_a_zip"},
		"empty":        {b.raw(nil), 422, "zip.not_a_zip"},
		"cut off":      {b.raw(good[:len(good)-10]), 422, "zip.damaged"},
		"slip":         {b.raw(packed(t, "../../etc/passwd", "x")), 422, "zip.bad_name"},
		"too many":     {b.raw(many.Bytes()), 422, "zip.too_many_entries"},
		"too large":    {b.raw(bytes.Repeat([]byte("x"), 3000)), 413, "zip.too_large"},
		"larger still": {b.raw(bytes.Repeat([]byte("x"), 2<<20)), 413, "zip.too_large"},
		"chunked":      {b.post("/api/uploads", "application/zip", io.MultiReader(bytes.NewReader(make([]byte, 3000)))), 413, "zip.too_large"},
		"wrong type":   {b.post("/api/uploads", "text/plain", strings.NewReader("x")), 415, "upload.content_type"},
		"no file":      {b.post("/api/uploads", noFile, noFileBody), 400, "upload.no_file"},
		"two files":    {b.post("/api/uploads", twoFiles, twoFilesBody), 400, "upload.many_files"},
		"broken form":  {b.post("/api/uploads", "multipart/form-data; boundary=x", strings.NewReader("--x\r\nContent-")), 400, "upload.broken"},
		"long field":   {b.post("/api/uploads?project="+strings.Repeat("p", 300), "application/zip", bytes.NewReader(good)), 400, "upload.field"},
		"terminal":     {b.post("/api/uploads?project=%C2%9B31m", "application/zip", bytes.NewReader(good)), 400, "upload.field"},
		"backwards":    {b.post("/api/uploads?fileName=%E2%80%AEpiz.exe", "application/zip", bytes.NewReader(good)), 400, "upload.field"},
		"control char": {b.post("/api/uploads?version=%07", "application/zip", bytes.NewReader(good)), 400, "upload.field"},
		"long key":     {b.raw(good, "Idempotency-Key", strings.Repeat("k", 300)), 400, "upload.field"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.code, c.got.Refused.Code)
			require.Equal(t, c.status, c.got.status)
			require.NotEmpty(t, c.got.Refused.Message)
			require.Empty(t, c.got.TaskID)
		})
	}
	for r, err := range b.store.ReadAll(t.Context(), 0, ourFacts) {
		require.NoError(t, err)
		t.Errorf("a refused upload left %s", r.Type)
	}
}

func TestAnIdempotencyKeyGivesTheSameTask(t *testing.T) {
	b := newBench(t, zippkg.Limits{})
	content := packed(t, "a.sql", "select 1")
	var wg sync.WaitGroup
	answers := make([]answer, 8)
	for i := range answers {
		wg.Go(func() { answers[i] = b.raw(content, "Idempotency-Key", "build-7") })
	}
	wg.Wait()
	created := 0
	for _, a := range answers {
		require.Equal(t, http.StatusAccepted, a.status)
		require.Equal(t, answers[0].TaskID, a.TaskID)
		if !a.Existed {
			created++
		}
	}
	require.GreaterOrEqual(t, created, 1)
	require.Len(t, b.facts(answers[0].TaskID), 1)

	other := b.raw(packed(t, "b.sql", "select 2"), "Idempotency-Key", "build-7")
	require.Equal(t, http.StatusConflict, other.status)
	require.Equal(t, "upload.key_reused", other.Refused.Code)
	elsewhere := b.post("/api/uploads?project=other", "application/zip", bytes.NewReader(content), "Idempotency-Key", "build-7")
	require.Equal(t, http.StatusAccepted, elsewhere.status)
	require.NotEqual(t, answers[0].TaskID, elsewhere.TaskID)
}

func TestWithoutTheEventStoreUploadsAreRefusedClearly(t *testing.T) {
	b := newBench(t, zippkg.Limits{})
	require.NoError(t, b.store.Node.Close())
	got := b.raw(packed(t, "a.sql", "select 1"))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "eventstore.unavailable", got.Refused.Code)
	require.NotEmpty(t, got.header.Get("Retry-After"))

	resp, err := http.Get(b.url + "/readyz")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
}

func TestAClientThatGoesAwayLeavesNoTask(t *testing.T) {
	b := newBench(t, zippkg.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/api/uploads", read)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/zip")
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	_, err = write.Write([]byte("PK\x03\x04"))
	require.NoError(t, err)
	cancel()
	write.CloseWithError(errors.New("gone"))
	require.Error(t, <-done)
	for range b.store.ReadAll(t.Context(), 0, ourFacts) {
		t.Error("a task from half an upload")
	}
}

func TestForeignOriginsCannotUpload(t *testing.T) {
	b := newBench(t, zippkg.Limits{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/api/uploads", bytes.NewReader(packed(t, "a", "b")))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/zip")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	var a answer
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
	require.Equal(t, "http.cross_origin", a.Refused.Code)
}

func TestWhatIsNotThereSaysSo(t *testing.T) {
	b := newBench(t, zippkg.Limits{})
	for path, code := range map[string]string{
		"/api/uploads":         "http.method",
		"/nope":                "http.not_found",
		"/api/tasks/x/package": "task.id",
		"/api/tasks/018f4e2a-0000-7000-8000-000000000001/package": "task.unknown",
	} {
		resp, err := http.Get(b.url + path)
		require.NoError(t, err)
		var a answer
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
		resp.Body.Close()
		require.Equal(t, code, a.Refused.Code, path)
	}
}
