package conform

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// file is one of a probe's.
type file struct {
	name    string
	content []byte
}

// everything has one of each kind of file that the known scanners look at.
func everything() []file {
	return []file{
		{"README.md", []byte("# Probe\n\nA package of the conformance kit.\n")},
		{"sql/dwd/a.sql", []byte("-- probe\nSELECT id FROM dwd_orders WHERE dt = '${bizdate}';\n")},
		{"conf/settings.json", []byte(`{"name":"probe","retries":3}` + "\n")},
		{"conf/settings.yaml", []byte("name: probe\nretries: 3\n")},
		{"conf/table.csv", []byte("id,name\n1,a\n")},
		{"reports/TEST-probe.xml", []byte(`<?xml version="1.0"?><testsuite name="probe" tests="1" failures="0" errors="0" skipped="0"><testcase classname="p" name="t" time="0.1"/></testsuite>` + "\n")},
		{"api/openapi.json", []byte(`{"openapi":"3.0.3","info":{"title":"probe","version":"1","description":"p"},"paths":{}}` + "\n")},
		{"src/main.py", []byte("print('probe')\n")},
	}
}

// nothing is nobody's business.
func nothing() []file {
	random := make([]byte, 1000)
	fill(rand.New(rand.NewPCG(1, 2)), random)
	return []file{{"probe.factgate-nothing", random}}
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

// hostile adds what real packages hold by accident, and others by intent, to files
// that are the scanner's business.
func hostile(probe []file) []file {
	r := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 4000)
	fill(r, random)
	deep := strings.Repeat("[", 200_000)
	files := append([]file{}, probe...)
	for _, base := range bases(probe) {
		for name, content := range map[string][]byte{
			"empty": {}, "random": random, "nul": make([]byte, 5000), "bom": []byte("\xef\xbb\xbf"), "utf16": []byte("\xff\xfes\x00e\x00l\x00"),
			"half": []byte("a string that is '\"` never closed \xe4\xbd"), "deep": []byte(deep), "line": bytes.Repeat([]byte("x"), 500_000),
			"laughs":   []byte("a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n"),
			"entity":   []byte(`<?xml version="1.0"?><!DOCTYPE t [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><testsuite name="&b;"/>`),
			"奇怪 的 名字'": []byte("-- 你好\n"),
		} {
			files = append(files, file{"hostile/" + name + "/" + base, content})
		}
	}
	return append(files, file{strings.Repeat("d/", 28) + bases(probe)[0], []byte("x")})
}

// bases are names of a probe's files without their folders: a scanner that looks for
// names finds them anywhere.
func bases(probe []file) (found []string) {
	for _, f := range probe {
		if base := path.Base(f.name); !slices.Contains(found, base) && len(found) < 10 {
			found = append(found, base)
		}
	}
	return found
}

const (
	manyFiles = 3000
	bigFile   = 24 << 20
)

// huge has many files like the probe's, and one that is large.
func huge(probe []file) []file {
	files := append([]file{}, probe...)
	for i := range manyFiles {
		f := probe[i%len(probe)]
		if len(f.content) < 64<<10 {
			files = append(files, file{fmt.Sprintf("many/%04d/%s", i, path.Base(f.name)), f.content})
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	var big bytes.Buffer
	for big.Len() < bigFile {
		fmt.Fprintf(&big, "-- %016x\n", r.Uint64())
	}
	return append(files, file{"big/" + bases(probe)[0], big.Bytes()})
}

// read returns a package's files, as far as they are of use for a probe.
func read(name string) ([]file, error) {
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w", name, err)
	}
	defer func() { _ = z.Close() }() // nothing was written
	var files []file
	total := 0
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", name, err)
		}
		content, err := io.ReadAll(io.LimitReader(r, 16<<20))
		_ = r.Close()
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", name, err)
		}
		if total += len(content); total > 64<<20 {
			return nil, fmt.Errorf("probe %s is too large: give one below 64 MiB unpacked", name)
		}
		files = append(files, file{f.Name, content})
	}
	if len(files) == 0 {
		return nil, errors.New("probe " + name + " has no files")
	}
	return files, nil
}

// write packs files into a folder and returns the zip's path.
func write(dir, name string, files []file) (string, error) {
	target := filepath.Join(dir, name+".zip")
	out, err := os.Create(target)
	if err != nil {
		return "", err
	}
	defer out.Close()
	z := zip.NewWriter(out)
	for _, f := range files {
		method := zip.Store // what packs too well is refused as a bomb
		if len(f.content) > 1<<20 {
			method = zip.Deflate
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: method})
		if err != nil {
			return "", err
		}
		if _, err := w.Write(f.content); err != nil {
			return "", err
		}
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return target, out.Close()
}
