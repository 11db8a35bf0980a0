package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/internal/testbench"
	"github.com/factgate/factgate/internal/zippkg/hostile"
)

const s3Secret = "not-for-anyones-eyes"

// inTheCloud starts an S3 with a bucket "releases" and points this process and its
// children to it.
func inTheCloud(t *testing.T) (*s3mem.Backend, *httptest.Server) {
	memory := s3mem.New()
	require.NoError(t, memory.CreateBucket("releases"))
	server := httptest.NewServer(gofakes3.New(memory).Server())
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"FACTGATE_S3_ENDPOINT": server.URL, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": s3Secret, "AWS_SESSION_TOKEN": "",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "",
	} {
		t.Setenv(name, value)
	}
	return memory, server
}

func TestBlobsLieInABucket(t *testing.T) {
	memory, _ := inTheCloud(t)
	data := t.TempDir()
	const where = "s3://releases/factgate"
	s := serve(t, data, "--blobs", where, "--window", "1m", "--quiet", "1s")
	defer s.kill()
	got := run(t, "check", packed(t)["retail-1.4.0"], "--server", s.url)
	require.Zero(t, got.code, got.out+got.errors)
	unread := filepath.Join(t.TempDir(), "unread.zip")
	require.NoError(t, os.WriteFile(unread, hostile.Of(
		hostile.Entry{Name: "a.sql", Content: "-- daily\nSELECT id FROM dwd_order WHERE dt = '${yyyyMMdd}';\n"},
		hostile.Entry{Name: "tools.zip", Content: "cut off"},
	), 0o600))
	for lang, want := range map[string]string{
		"en": "not fully checked by SQL: tools.zip the files inside were not checked", "zh": "SQL 未完全检查：tools.zip",
	} {
		got = run(t, "check", unread, "--server", s.url, "--lang", lang)
		require.Zero(t, got.code, got.out+got.errors)
		require.Contains(t, got.out, want)
	}
	require.Contains(t, run(t, "check", unread, "--server", s.url, "--json").out, `"path": "tools.zip"`)
	require.NotEqual(t, http.StatusAccepted, s.upload(t, "no zip"))
	require.NoDirExists(t, filepath.Join(data, "blobs"))
	stored := func() (n int) {
		list, err := memory.ListBucket("releases", &gofakes3.Prefix{HasPrefix: true, Prefix: "factgate/sha256/"}, gofakes3.ListBucketPage{})
		require.NoError(t, err)
		return len(list.Contents)
	}
	before := stored()
	require.GreaterOrEqual(t, before, 3, "the package, reports, and what was refused")

	expire := []string{"blobs", "expire", "--data", data, "--blobs", where, "--retention-packages", "90d", "--grace", "1ms"}
	require.Eventually(t, func() bool { // it was stored a while ago, by a clock of whole seconds
		got = run(t, append(expire, "--dry-run")...)
		return got.code == 0 && strings.Contains(got.out, "of refused uploads   1")
	}, testbench.Patience, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		got = run(t, expire...)
		return got.code == exitError
	}, testbench.Patience, 50*time.Millisecond)
	require.Contains(t, got.errors, "turn its versioning on")
	require.Contains(t, run(t, append(expire, "--lang", "zh")...).errors, "请开启版本控制")
	require.Equal(t, before, stored())

	require.NoError(t, memory.SetVersioningConfiguration("releases", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}))
	require.Eventually(t, func() bool { run(t, expire...); return stored() == before-1 }, testbench.Patience, 50*time.Millisecond)
	s.stop(t)
	require.NotContains(t, s.log.String(), s3Secret)
}

// upload sends what is no package, and returns the answer's status.
func (s *server) upload(t *testing.T, content string) int {
	t.Helper()
	resp, err := http.Post(s.url+"/api/uploads", "application/zip", strings.NewReader(content))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestABucketThatCannotBeUsedEndsTheStart(t *testing.T) {
	_, server := inTheCloud(t)
	scanner := func(blobs string) ran {
		return run(t, "scanner", "SQL", "--eventstore", "esdb://127.0.0.1:1?tls=false", "--blobs", blobs)
	}
	for blobs, want := range map[string]string{
		"s3://elsewhere":                     "there is no bucket elsewhere",
		"s3:":                                "this is not s3://BUCKET",
		"S3://key:" + s3Secret + "@releases": "credentials do not belong into s3://",
		"s3://releases:9000/x":               "FACTGATE_S3_ENDPOINT",
	} {
		got := scanner(blobs)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errors, want)
		require.NotContains(t, got.errors+got.out, s3Secret)
	}
	t.Setenv("FACTGATE_S3_ENDPOINT", strings.TrimPrefix(server.URL, "http://"))
	require.Contains(t, scanner("s3://releases").errors, "must be http://HOST:PORT or https://HOST:PORT")
	t.Setenv("FACTGATE_S3_ENDPOINT", server.URL)
	require.NoError(t, os.Unsetenv("AWS_SECRET_ACCESS_KEY"))
	require.Contains(t, scanner("s3://releases").errors, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
}
