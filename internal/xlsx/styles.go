package xlsx

import "strings"

// styles tell for each cell style whether it shows a number as a date or time.
type styles []bool

const (
	maxStyles  = 200_000 // Excel allows 65,490
	maxFormats = 20_000
)

func readStyles(s *scanner) (styles, error) {
	var out styles
	dates := map[int]bool{} // by format number
	if err := s.root("styleSheet"); err != nil {
		return nil, err
	}
	for {
		tok, err := s.next()
		if err != nil || tok == tokenNone {
			return out, err
		}
		if tok != tokenStart {
			continue
		}
		switch name := string(s.name); {
		case s.depth() == 2 && name != "numFmts" && name != "cellXfs":
			if err := s.skip(); err != nil {
				return nil, err
			}
		case s.depth() == 3 && name == "numFmt" && len(dates) < maxFormats:
			id, err := s.get("numFmtId")
			if err != nil {
				return nil, err
			}
			code, err := s.get("formatCode")
			if err != nil {
				return nil, err
			}
			dates[number([]byte(id))] = showsDate(code)
		case s.depth() == 3 && name == "xf" && len(out) < maxStyles:
			text, err := s.get("numFmtId")
			if err != nil {
				return nil, err
			}
			id := number([]byte(text))
			date, own := dates[id]
			out = append(out, own && date || !own && builtInDate(id))
		}
	}
}

// builtInDate knows the date formats that have numbers instead of codes, those
// of the Chinese and Japanese Excel among them.
func builtInDate(id int) bool {
	return id >= 14 && id <= 22 || id >= 27 && id <= 36 || id >= 45 && id <= 47 || id >= 50 && id <= 58
}

// showsDate reports whether a format code has a part of a date outside of
// quotes, escapes and brackets; [h] and its like are times too.
func showsDate(code string) bool {
	for i := 0; i < len(code); i++ {
		switch c := code[i] | 0x20; {
		case code[i] == '"':
			end := strings.IndexByte(code[i+1:], '"')
			if end < 0 {
				return false
			}
			i += end + 1
		case code[i] == '\\' || code[i] == '_' || code[i] == '*':
			i++
		case code[i] == '[':
			end := strings.IndexByte(code[i:], ']')
			if end < 0 {
				return false
			}
			if inside := strings.ToLower(code[i+1 : i+end]); inside != "" && strings.Trim(inside, inside[:1]) == "" && strings.IndexByte("hms", inside[0]) >= 0 {
				return true
			}
			i += end
		case c == 'g' && strings.HasPrefix(strings.ToLower(code[i:]), "general"):
			i += len("general") - 1
		case c == 'y' || c == 'm' || c == 'd' || c == 'h' || c == 's':
			return true
		}
	}
	return false
}
