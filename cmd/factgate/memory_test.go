package main

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsWhatTheTightestGroupLeaves(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	machine := "MemFree: 1 kB\nMemTotal:       8388608 kB\n"
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int64
	}{
		"nothing is said": {fstest.MapFS{}, usualMemory},
		"no group":        {fstest.MapFS{"proc/meminfo": file(machine)}, 8 << 30},
		"a container": {fstest.MapFS{"proc/meminfo": file(machine), "proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/memory.max": file("1073741824\n")}, 1 << 30},
		"a service in a slice": {fstest.MapFS{"proc/meminfo": file(machine), "proc/self/cgroup": file("0::/system.slice/f.service\n"),
			"sys/fs/cgroup/system.slice/f.service/memory.max": file("max\n"),
			"sys/fs/cgroup/system.slice/memory.max":           file("2147483648\n")}, 2 << 30},
		"version 1": {fstest.MapFS{"proc/meminfo": file(machine), "proc/self/cgroup": file("4:memory:/a\n3:cpu:/b\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   file("9223372036854771712\n"),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("3221225472\n")}, 3 << 30},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, memoryOf(c.files)) })
	}
	require.Positive(t, memoryOf(os.DirFS("/")))
}

func FuzzMemoryOf(f *testing.F) {
	f.Add("MemTotal: 1 kB\n", "0::/../..\n", "max")
	f.Add("MemTotal: -9223372036854775808 kB", ":memory:a//b", "-1")
	f.Fuzz(func(t *testing.T, meminfo, groups, limit string) {
		got := memoryOf(fstest.MapFS{
			"proc/meminfo": {Data: []byte(meminfo)}, "proc/self/cgroup": {Data: []byte(groups)}, "sys/fs/cgroup/memory.max": {Data: []byte(limit)},
		})
		require.Positive(t, got)
	})
}

func TestScanMemoryIsChecked(t *testing.T) {
	var m mebibytes
	require.NoError(t, m.Set("256"))
	require.EqualValues(t, 256, m)
	for _, bad := range []string{"255", "0", "-1", "1GiB", "", "9007199254740993"} {
		require.Error(t, m.Set(bad), bad)
	}
}
