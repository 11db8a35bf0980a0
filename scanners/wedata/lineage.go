package wedata

import "strings"

// tables are those that a task's SQL writes and reads, in lower case.
type tables struct {
	writes, reads map[string]int // and where each is first named
}

// token of SQL, as far as lineage needs it.
type token struct {
	word   string // an identifier or keyword in lower case, without quotes
	mark   byte   // or a sign; 't' is a template, 's' a string
	quoted bool
	glued  bool // no space before it
	offset int
}

// lineage finds the targets of INSERT, MERGE and CREATE TABLE … AS, and the sources
// after FROM, JOIN and USING. It says nothing of what it is not sure of: names that
// are partly templates, names that the statement itself defines, functions.
func lineage(source string) tables {
	found := tables{writes: map[string]int{}, reads: map[string]int{}}
	all := tokenise(source)
	temporary := map[string]bool{}
	for len(all) > 0 {
		end := 0
		for end < len(all) && all[end].mark != ';' {
			end++
		}
		s := statement{tokens: all[:end], own: map[string]bool{}}
		s.read(&found, temporary)
		all = all[min(end+1, len(all)):]
	}
	return found
}

type statement struct {
	tokens []token
	own    map[string]bool // names that the statement defines: WITH x AS (…)
}

func (s *statement) is(i int, word string) bool {
	return i >= 0 && i < len(s.tokens) && s.tokens[i].word == word && !s.tokens[i].quoted
}

func (s *statement) mark(i int, c byte) bool {
	return i >= 0 && i < len(s.tokens) && s.tokens[i].mark == c
}

// name reads a table's name at i, and says where it ends; "" if none is certain.
func (s *statement) name(i int) (string, int) {
	var parts []string
	sure := true
	for i < len(s.tokens) {
		t := s.tokens[i]
		switch {
		case t.word != "":
			parts = append(parts, t.word)
		case t.mark == 't':
			sure = false
		default:
			return "", i
		}
		// A template that touches the word is a part of the name: ods_${x}.
		for i++; i < len(s.tokens) && s.tokens[i].glued && (s.tokens[i].mark == 't' || s.tokens[i].word != "" && s.tokens[i-1].mark == 't'); i++ {
			sure = false
		}
		if !s.mark(i, '.') {
			break
		}
		i++
	}
	if !sure || len(parts) == 0 || len(parts) > 3 {
		return "", i
	}
	return strings.Join(parts, "."), i
}

// reserved words are no tables, unless they are quoted.
var reserved = map[string]bool{
	"select": true, "from": true, "where": true, "join": true, "on": true, "inner": true, "left": true, "right": true, "full": true,
	"cross": true, "outer": true, "lateral": true, "group": true, "order": true, "having": true, "limit": true, "union": true,
	"values": true, "set": true, "as": true, "table": true, "unnest": true, "insert": true, "into": true, "overwrite": true,
	"directory": true, "local": true, "dual": true, "with": true, "using": true, "natural": true, "semi": true, "anti": true,
	"window": true, "sort": true, "cluster": true, "distribute": true, "when": true, "only": true, "if": true, "asof": true, "straight_join": true,
	"tablesample": true, "partition": true, "for": true, "qualify": true, "intersect": true, "except": true, "minus": true, "fetch": true, "offset": true,
}

func (s *statement) read(found *tables, temporary map[string]bool) {
	s.definitions()
	source := func(i int) int {
		if s.mark(i, '(') || i >= len(s.tokens) || reserved[s.tokens[i].word] && !s.tokens[i].quoted {
			return i
		}
		at := s.tokens[i].offset
		name, end := s.name(i)
		if end <= i {
			return i
		}
		if name != "" && !s.mark(end, '(') && !s.own[name] && !temporary[name] {
			if _, seen := found.reads[name]; !seen {
				found.reads[name] = at
			}
		}
		return end
	}
	target := func(i int) {
		if i >= len(s.tokens) {
			return
		}
		at := s.tokens[i].offset
		if name, _ := s.name(i); name != "" && !temporary[name] && (!reserved[name] || s.tokens[i].quoted) {
			if _, seen := found.writes[name]; !seen {
				found.writes[name] = at
			}
		}
	}
	// calls tells the parentheses of a function, in which FROM is a word of its own:
	// EXTRACT(day FROM d).
	var calls []bool
	for i := 0; i < len(s.tokens); i++ {
		t := s.tokens[i]
		switch {
		case t.mark == '(':
			calls = append(calls, i > 0 && s.tokens[i-1].word != "" && !reserved[s.tokens[i-1].word] && !s.is(i+1, "select") && !s.is(i+1, "with"))
		case t.mark == ')':
			if len(calls) > 0 {
				calls = calls[:len(calls)-1]
			}
		case t.quoted || t.word == "":
		case t.word == "insert" && (s.is(i+1, "into") || s.is(i+1, "overwrite")):
			n := i + 2
			if s.is(n, "table") {
				n++
			}
			if !s.is(n, "directory") && !s.is(n, "local") {
				target(n)
			}
			_, end := s.name(n)
			i = max(i, end-1)
		case t.word == "merge" && s.is(i+1, "into"):
			target(i + 2)
		case t.word == "create" && i == 0:
			s.create(target, temporary)
		case t.word == "from" && !(len(calls) > 0 && calls[len(calls)-1]) && !s.is(i-1, "distinct") && !s.is(i-1, "delete"):
			end := source(i + 1)
			for end > i+1 && s.alias(&end) && s.mark(end, ',') {
				next := source(end + 1)
				if next <= end+1 {
					break
				}
				end = next
			}
			i = max(i, end-1)
		case t.word == "join", t.word == "using" && s.is(0, "merge"):
			i = max(i, source(i+1)-1)
		}
	}
}

// alias skips [AS] name after a table, and reports true.
func (s *statement) alias(at *int) bool {
	i := *at
	if s.is(i, "as") {
		i++
	}
	if i < len(s.tokens) && s.tokens[i].word != "" && (!reserved[s.tokens[i].word] || s.tokens[i].quoted) {
		i++
	}
	*at = i
	return true
}

// definitions finds the names that WITH gives to its queries.
func (s *statement) definitions() {
	for i := range s.tokens {
		if s.tokens[i].word == "" || !s.is(i+1, "as") || !s.mark(i+2, '(') {
			continue
		}
		if s.mark(i-1, ',') || s.is(i-1, "with") || s.is(i-1, "recursive") {
			s.own[s.tokens[i].word] = true
		}
	}
}

// create reads CREATE [OR REPLACE] [EXTERNAL…] TABLE [IF NOT EXISTS] name … AS SELECT.
func (s *statement) create(target func(int), temporary map[string]bool) {
	i, passing := 1, false
	for ; i < len(s.tokens) && i < 8 && !s.is(i, "table"); i++ {
		passing = passing || s.is(i, "temporary") || s.is(i, "temp") || s.is(i, "volatile")
		if s.is(i, "view") || s.is(i, "function") || s.is(i, "database") || s.is(i, "schema") {
			if passing && s.is(i, "view") {
				if name, _ := s.name(i + 1); name != "" {
					temporary[name] = true
				}
			}
			return
		}
	}
	if !s.is(i, "table") {
		return
	}
	i++
	if s.is(i, "if") {
		i += 3
	}
	if passing {
		if name, _ := s.name(i); name != "" {
			temporary[name] = true
		}
		return
	}
	for n := i; n < len(s.tokens); n++ {
		if s.is(n, "as") && (s.is(n+1, "select") || s.is(n+1, "with") || s.mark(n+1, '(')) {
			target(i)
			return
		}
	}
}

// tokenise cuts SQL of any dialect. Comments are left out; templates and strings are
// one token each.
func tokenise(s string) []token {
	const most = 500_000
	var out []token
	glued := false
	for i := 0; i < len(s) && len(out) < most; {
		c := s[i]
		start := i
		put := func(t token) {
			t.offset, t.glued = start, glued
			out = append(out, t)
			glued = true
		}
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			glued = false
		case strings.HasPrefix(s[i:], "--"):
			i = until(s, i, "\n")
			glued = false
		case strings.HasPrefix(s[i:], "/*"):
			i = until(s, i+2, "*/")
			glued = false
		case strings.HasPrefix(s[i:], "${"):
			i = until(s, i, "}")
			put(token{mark: 't'})
		case strings.HasPrefix(s[i:], "{{"):
			i = until(s, i, "}}")
			put(token{mark: 't'})
		case strings.HasPrefix(s[i:], "{%"):
			i = until(s, i, "%}")
			put(token{mark: 't'})
		case strings.HasPrefix(s[i:], "$["):
			i = until(s, i, "]")
			put(token{mark: 't'})
		case strings.HasPrefix(s[i:], "$("):
			i = until(s, i, ")")
			put(token{mark: 't'})
		case c == '\'' || c == '"':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			i = min(i+1, len(s))
			put(token{mark: 's'})
		case c == '`':
			i = until(s, i+1, "`")
			body := strings.Trim(s[start:i], "`")
			if strings.ContainsAny(body, "${}") {
				put(token{mark: 't'})
				continue
			}
			// `db.table` is written by some for `db`.`table`.
			put(token{word: strings.ToLower(body), quoted: true})
		case wordStart(c):
			for i++; i < len(s) && (wordStart(s[i]) || '0' <= s[i] && s[i] <= '9'); i++ {
			}
			put(token{word: strings.ToLower(s[start:i])})
		case '0' <= c && c <= '9': // a number, or a name that begins with one
			for i++; i < len(s) && (wordStart(s[i]) || '0' <= s[i] && s[i] <= '9'); i++ {
			}
			put(token{mark: '0'})
		default:
			i++
			put(token{mark: c})
		}
	}
	return out
}

func wordStart(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

// until returns where what is looked for ends, or the end of the text.
func until(s string, from int, mark string) int {
	n := strings.Index(s[from:], mark)
	if n < 0 {
		return len(s)
	}
	return from + n + len(mark)
}
