package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPersonIsErasedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, data, "--quiet", "1s")
	defer s.kill()
	var first result
	readJSON(t, run(t, "check", packed(t)["retail-1.5.0-rc1"], "--server", s.url, "--json", "--by", "李雷"), &first)
	require.Contains(t, run(t, "history", first.TaskID, "--server", s.url).out, "ZipUploaded  by 李雷")
	dossier := func(name string) string {
		file := filepath.Join(data, name)
		got := run(t, "dossier", first.TaskID, "-o", file, "--server", s.url)
		require.Zero(t, got.code, got.errors)
		require.Zero(t, run(t, "dossier", "verify", file).code)
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(content), "李雷")
		return file
	}
	before := dossier("before.jsonl")

	erase := []string{"persons", "erase", "李雷", "--reason", "asked for it", "--by", "zhang"}
	var done personErasure
	readJSON(t, run(t, append(erase, "--server", s.url, "--json")...), &done)
	require.True(t, done.Changed)
	require.Len(t, done.Keys, 1)
	require.True(t, done.ClearText.Complete)
	require.Zero(t, done.ClearText.Facts)
	require.Zero(t, run(t, "dossier", "verify", before).code)
	s.kill() // what is erased stays so
	s = serve(t, data, "--quiet", "1s")
	defer s.kill()
	require.Contains(t, run(t, "history", first.TaskID, "--server", s.url).out, "ZipUploaded  by erased #"+done.Keys[0][:8])
	require.Contains(t, run(t, "history", first.TaskID, "--server", s.url, "--lang", "zh").out, "已删除 #"+done.Keys[0][:8])
	dossier("after.jsonl")

	again := run(t, append(erase, "--server", s.url)...)
	require.Zero(t, again.code, again.errors)
	require.Contains(t, again.out, "nobody has this name, or has it any more")
	require.Contains(t, again.out, "factgate node scavenge")
	require.Contains(t, run(t, "persons", "erasures", "--server", s.url).out, "key "+done.Keys[0]+", by zhang: asked for it")
	var listed []erasureView
	readJSON(t, run(t, "persons", "erasures", "--server", s.url, "--json"), &listed)
	require.Len(t, listed, 1)
	require.Contains(t, run(t, append(erase, "--server", s.url, "--lang", "zh")...).out, "其名称此前已删除")

	for what, args := range map[string][]string{
		"reason.invalid": {"李雷", "--reason", " "}, "person.name": {" ", "--reason", "x"}, `"reason" not set`: {"李雷"}, "give 1 arguments: factgate persons erase NAME": {"--reason", "x"},
	} {
		got := run(t, append(append([]string{"persons", "erase"}, args...), "--server", s.url)...)
		require.Equal(t, exitError, got.code)
		require.Contains(t, got.errors, what)
	}
	s.stop(t)
}
