package zippkg

import (
	"fmt"
	"hash/crc32"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/unicode/norm"
)

const (
	flagUTF8       = 1 << 11
	unicodePathTag = 0x7075
)

// decodeName turns the bytes of a name into text. Zips do not reliably say how
// names are encoded, so the surest sign comes first; CP437, the format's
// original encoding, accepts anything.
func decodeName(raw string, flags uint16, extra []byte) (name string, enc Encoding) {
	if flags&flagUTF8 != 0 && utf8.ValidString(raw) {
		return raw, UTF8
	}
	if name, ok := unicodePath(raw, extra); ok {
		return name, UTF8
	}
	if utf8.ValidString(raw) {
		return raw, UTF8
	}
	if name, ok := decodeGB18030([]byte(raw)); ok {
		return name, GB18030
	}
	name, _ = charmap.CodePage437.NewDecoder().String(raw) // every byte has a meaning
	return name, CP437
}

// unicodePath returns the name from Info-ZIP's Unicode Path field. The field
// carries the checksum of the name that it was written for: when a tool has
// renamed the entry without knowing the field, the field is stale.
func unicodePath(raw string, extra []byte) (string, bool) {
	field, ok := extraField(extra, unicodePathTag)
	if !ok || len(field) < 5 || field[0] != 1 {
		return "", false
	}
	name := string(field[5:])
	if le.Uint32(field[1:]) != crc32.ChecksumIEEE([]byte(raw)) || name == "" || !utf8.ValidString(name) {
		return "", false
	}
	return name, true
}

func decodeGB18030(raw []byte) (string, bool) {
	decoded, err := simplifiedchinese.GB18030.NewDecoder().Bytes(raw)
	if err != nil {
		return "", false
	}
	text := string(decoded)
	return text, !strings.ContainsRune(text, utf8.RuneError)
}

// cleanPath turns a decoded name into the path that the rest of Factgate sees,
// or says what is wrong with it. Empty components and "." are dropped; nothing
// else is repaired. A folder's trailing slash is reported, not kept.
func cleanPath(name string, limits Limits) (clean string, folder bool, err *Error) {
	bad := func(en, zh string) (string, bool, *Error) {
		return "", false, refuse(CodeBadName, name, en, zh)
	}
	// NFC shortens at most about threefold: a name this long need not be looked at,
	// and whether it climbs out nobody knows.
	if len(name) > 4*limits.PathBytes {
		bad := tooLong(name, limits)
		bad.long = false
		return "", false, bad
	}
	slashed := norm.NFC.String(strings.ReplaceAll(name, `\`, "/"))
	switch {
	case !utf8.ValidString(slashed):
		return bad("the path is not valid text", "路径不是有效的文本")
	case strings.ContainsFunc(slashed, unicode.IsControl):
		return bad("the path contains a control character", "路径中含有控制字符")
	case strings.HasPrefix(slashed, "/"):
		return bad("the path is absolute; pack the folder with relative paths", "路径是绝对路径，请使用相对路径打包")
	case len(slashed) >= 2 && slashed[1] == ':' && isLetter(slashed[0]):
		return bad("the path begins with a drive letter; pack the folder with relative paths", "路径以盘符开头，请使用相对路径打包")
	}
	var components []string
	for _, c := range strings.Split(slashed, "/") {
		if c == "" || c == "." {
			continue
		}
		// Windows ignores dots and spaces at the end, so ".. " is ".." there.
		if strings.TrimRight(c, ". ") == "" {
			return bad("the path leaves the package (a component of dots)", "路径越出安装包目录（含有仅由点组成的部分）")
		}
		components = append(components, c)
	}
	clean = strings.Join(components, "/")
	if clean == "" && slashed == "" {
		return bad("an entry has no name", "存在没有名称的条目")
	}
	if bad := fits(clean, len(components), limits); bad != nil {
		return "", false, bad
	}
	return clean, clean == "" || strings.HasSuffix(slashed, "/") || strings.HasSuffix(slashed, "/."), nil
}

// fits refuses a path that is over a limit.
func fits(clean string, components int, limits Limits) *Error {
	if len(clean) > limits.PathBytes {
		return tooLong(clean, limits)
	}
	if components > limits.PathComponents {
		bad := refuse(CodeBadName, clean,
			fmt.Sprintf("the path has more than %d components", limits.PathComponents),
			fmt.Sprintf("路径层级超过 %d 层", limits.PathComponents))
		bad.long = true
		return bad
	}
	return nil
}

func tooLong(name string, limits Limits) *Error {
	bad := refuse(CodeBadName, name,
		fmt.Sprintf("the path is longer than %d bytes", limits.PathBytes),
		fmt.Sprintf("路径超过 %d 字节", limits.PathBytes))
	bad.long = true
	return bad
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isJunk tells the files that desktop systems and Excel leave behind; nobody
// means to deliver them.
func isJunk(clean string) bool {
	if strings.HasPrefix(clean, "__MACOSX/") || strings.Contains(clean, "/__MACOSX/") {
		return true
	}
	base := path.Base(clean)
	switch strings.ToLower(base) {
	case ".ds_store", "thumbs.db", "desktop.ini":
		return true
	}
	return strings.HasPrefix(base, "~$") && strings.EqualFold(path.Ext(base), ".xlsx")
}
