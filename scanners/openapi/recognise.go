package openapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"golang.org/x/text/encoding/unicode"
)

// format of a file.
type format uint8

const (
	other format = iota
	openapi
	dataService
	collection
)

// mayDescribe reports whether interfaces are described in files of such a name, and
// whether these may be YAML. What package managers fetched describes those of others.
func mayDescribe(name string) (ok, yamlToo bool) {
	if fetched(name) {
		return false, false
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".json":
		return true, false
	case ".yaml", ".yml":
		return true, true
	}
	return false, false
}

func fetched(name string) bool {
	for folder := range strings.SplitSeq(path.Dir(name), "/") {
		if folder == "node_modules" || folder == "site-packages" {
			return true
		}
	}
	return false
}

// recognise looks through a file, as far as it must, for what makes it a description.
// It does not parse: what it looks at need not be well-formed. A description may
// have its version at the end, as writers that sort their members do.
func recognise(ctx context.Context, in io.Reader, yamlToo bool, limits Limits) (format, error) {
	r := bufio.NewReaderSize(&gentle{ctx, io.LimitReader(in, limits.FileBytes)}, 16<<10)
	switch head, _ := r.Peek(3); {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = r.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		r = bufio.NewReaderSize(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Reader(r), 16<<10)
	}
	for {
		c, err := r.ReadByte()
		if err != nil {
			return other, ended(err)
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		if err := r.UnreadByte(); err != nil {
			return other, err
		}
		if c == '{' || c == '[' {
			return skimJSON(r)
		}
		if yamlToo {
			return skimYAML(r)
		}
		return other, nil
	}
}

// gentle is a reader that heeds a context.
type gentle struct {
	ctx context.Context
	r   io.Reader
}

func (g *gentle) Read(p []byte) (int, error) {
	if err := g.ctx.Err(); err != nil {
		return 0, err
	}
	return g.r.Read(p)
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// skimJSON follows the nesting of a text and looks at the names of members.
func skimJSON(r *bufio.Reader) (format, error) {
	const deep = 8 // where data services are looked for
	var (
		depth    int
		has      [deep + 1]struct{ path, params bool } // in the object that is open at this depth
		word     [64]byte                              // the beginning of the last string
		length   int
		last     string // the last member's name at the top
		info     bool   // within the top's info
		expected bool   // the value of openapi or swagger comes next
	)
	for {
		c, err := r.ReadByte()
		if err != nil {
			return other, ended(err)
		}
		switch c {
		case '{', '[':
			depth++
			if depth <= deep {
				has[depth] = struct{ path, params bool }{}
			}
			if depth == 2 {
				info = last == "info"
			}
			expected = false
		case '}', ']':
			depth--
			if depth < 0 {
				return other, nil
			}
		case '"':
			length = 0
			for {
				if c, err = r.ReadByte(); err != nil {
					return other, ended(err)
				}
				if c == '"' {
					break
				}
				if c == '\\' {
					if _, err = r.ReadByte(); err != nil {
						return other, ended(err)
					}
				}
				if length < len(word) {
					word[length] = c
					length++
				}
			}
			s := word[:length]
			if expected && depth == 1 && length > 0 && s[0] >= '0' && s[0] <= '9' {
				return openapi, nil
			}
			expected = false
			if info && depth == 2 && bytes.Contains(s, []byte("getpostman.com")) {
				return collection, nil
			}
			if depth == 1 {
				last = string(s)
			}
		case ':':
			expected = depth == 1 && (last == "openapi" || last == "swagger")
			if depth < 1 || depth > deep {
				continue
			}
			switch string(word[:length]) {
			case "PathUrl", "pathUrl":
				has[depth].path = true
			case "RequestParam", "requestParam":
				has[depth].params = true
			default:
				continue
			}
			if has[depth].path && has[depth].params {
				return dataService, nil
			}
		case ' ', '\t', '\r', '\n':
		default:
			if expected && depth == 1 && c >= '0' && c <= '9' {
				return openapi, nil
			}
			expected = false
		}
	}
}

// skimYAML looks at lines that are not indented.
func skimYAML(r *bufio.Reader) (format, error) {
	begins := true
	for {
		line, err := r.ReadSlice('\n')
		if begins {
			for _, name := range []string{"openapi", "swagger"} {
				if versioned(line, name) {
					return openapi, nil
				}
			}
		}
		begins = !errors.Is(err, bufio.ErrBufferFull)
		if err != nil && begins {
			return other, ended(err)
		}
	}
}

// versioned reports whether a line of YAML gives name a version.
func versioned(line []byte, name string) bool {
	rest := bytes.TrimLeft(line, `"'`)
	if len(line)-len(rest) > 1 || !bytes.HasPrefix(rest, []byte(name)) {
		return false
	}
	rest = bytes.TrimLeft(rest[len(name):], `"'`)
	rest = bytes.TrimLeft(rest, " \t")
	if len(rest) < 2 || rest[0] != ':' {
		return false
	}
	rest = bytes.TrimLeft(rest[1:], " \t\"'")
	return len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'
}
