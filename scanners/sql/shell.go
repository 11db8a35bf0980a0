package sql

import (
	"path"
	"strings"
	"unicode/utf8"
)

// shellPieces finds the SQL that a shell script hands to a client: hive -e "…",
// mysql <<EOF … EOF, and the variables that hold it: hive -e "$sql". Each piece is the
// text as the client gets it, rune for rune in its place: quotes and backslashes of the
// shell, and commands whose output goes in, are masked.
func shellPieces(text string) []piece {
	s := shell{text: text, variables: map[string]shellWord{}, said: map[int]bool{}}
	s.read()
	if len(s.found) == 0 {
		return nil
	}
	var starts []int
	for _, p := range s.found {
		starts = append(starts, p.line)
	}
	at := locate(text, starts)
	for i := range s.found {
		p := at(s.found[i].line)
		s.found[i].line, s.found[i].column = p.line, p.column
	}
	return s.found
}

// shell reads a script word by word. It knows quotes, comments, heredocs and
// separators, and no grammar.
type shell struct {
	text      string
	pos       int
	words     []shellWord // of the command that is being read
	line      []shellWord // of the line, with all of its commands
	heredocs  []heredoc   // announced on this line
	variables map[string]shellWord
	said      map[int]bool // where pieces begin
	lost      int          // substitutions that are never closed
	found     []piece      // line holds the offset, for the time being
}

// shellWord is text[from:to] with its quotes.
type shellWord struct {
	from, to int
	quoted   bool
}

type heredoc struct {
	delimiter string
	literal   bool
	tabs      bool
}

const (
	maxShellWords = 10_000 // of one command
	maxVariables  = 1000
)

func (s *shell) read() {
	for s.pos < len(s.text) && len(s.found) < maxPieces {
		switch c := s.text[s.pos]; {
		case c == '\n':
			s.command()
			s.pos++
			s.bodies()
			s.line = s.line[:0]
		case c == ' ' || c == '\t' || c == '\r':
			s.pos++
		case c == '\\' && s.pos+1 < len(s.text) && (s.text[s.pos+1] == '\n' || s.text[s.pos+1] == '\r'):
			s.pos += 2
			if s.text[s.pos-1] == '\r' && s.pos < len(s.text) && s.text[s.pos] == '\n' {
				s.pos++
			}
		case c == '#':
			for s.pos < len(s.text) && s.text[s.pos] != '\n' {
				s.pos++
			}
		case c == '<' && strings.HasPrefix(s.text[s.pos:], "<<") && !strings.HasPrefix(s.text[s.pos:], "<<<"):
			s.announce()
		case strings.IndexByte(";|&(){}", c) >= 0:
			s.command()
			s.pos++
		case c == '<' || c == '>':
			s.pos++
		default:
			if w := s.word(); len(s.words) < maxShellWords {
				s.words = append(s.words, w)
				if len(s.line) < 64 {
					s.line = append(s.line, w)
				}
			}
		}
	}
	s.command()
}

// word reads up to an unquoted blank or separator.
func (s *shell) word() shellWord {
	w := shellWord{from: s.pos}
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '\'':
			w.quoted = true
			s.single()
		case c == '"':
			w.quoted = true
			s.double()
		case c == '\\':
			s.pos = min(s.pos+2, len(s.text))
		case c == '`' || c == '$' && strings.HasPrefix(s.text[s.pos:], "$("):
			s.pos = s.substitution(s.pos)
		case c == '$' && strings.HasPrefix(s.text[s.pos:], "${"):
			const long = 200
			if n := strings.IndexAny(s.text[s.pos:min(len(s.text), s.pos+long)], "}\n"); n > 0 {
				s.pos += n + 1
			} else {
				s.pos += 2
			}
		case strings.IndexByte(" \t\r\n;|&()<>", c) >= 0:
			w.to = s.pos
			return w
		default:
			s.pos++
		}
	}
	w.to = s.pos
	return w
}

func (s *shell) single() {
	n := strings.IndexByte(s.text[s.pos+1:], '\'')
	if n < 0 {
		s.pos = len(s.text)
		return
	}
	s.pos += n + 2
}

func (s *shell) double() {
	for s.pos++; s.pos < len(s.text); {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return
		case c == '\\':
			s.pos = min(s.pos+2, len(s.text))
		case c == '`' || c == '$' && strings.HasPrefix(s.text[s.pos:], "$("):
			s.pos = s.substitution(s.pos)
		default:
			s.pos++
		}
	}
}

// substitution returns the index behind the command substitution at i. It does not
// look far: what is longer is taken as text.
func (s *shell) substitution(i int) int {
	const far = 2000
	const mistakes = 100 // that many are never closed: no more is looked for
	if s.lost > mistakes {
		return i + 1
	}
	if s.text[i] == '`' {
		for n := i + 1; n < min(len(s.text), i+far); n++ {
			switch s.text[n] {
			case '\\':
				n++
			case '`':
				return n + 1
			}
		}
		s.lost++
		return i + 1
	}
	depth := 0
	for n := i + 1; n < min(len(s.text), i+far); n++ {
		switch s.text[n] {
		case '\\':
			n++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return n + 1
			}
		}
	}
	s.lost++
	return i + 1
}

// announce reads << and the delimiter of a heredoc.
func (s *shell) announce() {
	s.pos += 2
	h := heredoc{}
	if s.pos < len(s.text) && s.text[s.pos] == '-' {
		h.tabs = true
		s.pos++
	}
	for s.pos < len(s.text) && (s.text[s.pos] == ' ' || s.text[s.pos] == '\t') {
		s.pos++
	}
	w := s.word()
	h.delimiter = strings.NewReplacer("'", "", `"`, "", `\`, "").Replace(s.text[w.from:w.to])
	h.literal = h.delimiter != s.text[w.from:w.to]
	if h.delimiter == "" || len(h.delimiter) > 64 || '0' <= h.delimiter[0] && h.delimiter[0] <= '9' {
		return // 1 << 3
	}
	if len(s.heredocs) < 16 {
		s.heredocs = append(s.heredocs, h)
	}
}

// bodies reads the heredocs that were announced on the line before.
func (s *shell) bodies() {
	for _, h := range s.heredocs {
		from := s.pos
		for {
			end := strings.IndexByte(s.text[s.pos:], '\n')
			line := s.text[s.pos:]
			if end >= 0 {
				line = s.text[s.pos : s.pos+end]
			}
			line = strings.TrimSuffix(line, "\r")
			if h.tabs {
				line = strings.TrimLeft(line, "\t")
			}
			if line == h.delimiter {
				s.body(h, from, s.pos)
				s.pos = min(s.pos+max(end, 0)+1, len(s.text))
				if end < 0 {
					s.pos = len(s.text)
				}
				break
			}
			if end < 0 { // never closed
				s.pos = len(s.text)
				break
			}
			s.pos += end + 1
		}
	}
	s.heredocs = s.heredocs[:0]
}

func (s *shell) body(h heredoc, from, to int) {
	c, ok := s.client(s.line)
	if !ok {
		// cat > job.sql <<EOF
		for _, w := range s.line {
			switch strings.ToLower(path.Ext(s.bare(w))) {
			case ".sql", ".hql":
				ok = true
			}
		}
	}
	if !ok || to <= from || s.said[from] {
		return
	}
	quote := byte('"')
	if h.literal {
		quote = 0
	}
	s.add(c, from, s.masked(from, to, quote))
}

// bare is a word without quotes, cut short.
func (s *shell) bare(w shellWord) string {
	return strings.Trim(s.text[w.from:min(w.to, w.from+500)], `'"`)
}

// sqlClient is a program that takes SQL.
type sqlClient struct {
	flags    []string
	dialect  Dialect
	fallback Dialect
}

var sqlClients = map[string]sqlClient{
	"hive":              {flags: []string{"-e"}, dialect: Hive},
	"beeline":           {flags: []string{"-e"}, dialect: Hive},
	"spark-sql":         {flags: []string{"-e"}, dialect: Spark},
	"spark3-sql":        {flags: []string{"-e"}, dialect: Spark},
	"mysql":             {flags: []string{"-e", "--execute"}, fallback: MySQL},
	"mariadb":           {flags: []string{"-e", "--execute"}, fallback: MySQL},
	"psql":              {flags: []string{"-c", "--command"}, dialect: PostgreSQL},
	"gsql":              {flags: []string{"-c", "--command"}, dialect: PostgreSQL},
	"clickhouse-client": {flags: []string{"-q", "--query"}, dialect: ClickHouse},
	"odpscmd":           {flags: []string{"-e"}, dialect: MaxCompute},
	"impala-shell":      {flags: []string{"-q", "--query"}},
	"presto":            {flags: []string{"--execute"}},
	"trino":             {flags: []string{"--execute"}},
}

// client finds the client that a command runs: hive, /opt/hive/bin/hive,
// ${HIVE_HOME}/bin/hive, $BEELINE. What stands in front may be assignments, sudo, time.
func (s *shell) client(words []shellWord) (sqlClient, bool) {
	const far = 8
	for i, w := range words {
		if i == far {
			break
		}
		name := s.bare(w)
		if strings.HasPrefix(name, "-") {
			break
		}
		name = strings.ToLower(path.Base(name))
		if c, ok := sqlClients[name]; ok {
			return c, true
		}
		if strings.HasPrefix(name, "$") && i == 0 {
			name = strings.Trim(name, "${}")
			for _, known := range [...]struct{ word, client string }{{"beeline", "beeline"}, {"spark_sql", "spark-sql"}, {"sparksql", "spark-sql"}, {"hive", "hive"}, {"mysql", "mysql"}, {"psql", "psql"}, {"clickhouse", "clickhouse-client"}} {
				if strings.Contains(name, known.word) {
					return sqlClients[known.client], true
				}
			}
		}
		if name == "clickhouse" {
			return sqlClients["clickhouse-client"], true
		}
	}
	return sqlClient{}, false
}

// command ends the command that was read: it may set a variable, or hand SQL over.
func (s *shell) command() {
	words := s.words
	s.words = s.words[:0]
	s.assign(words)
	c, ok := s.client(words)
	if !ok {
		return
	}
	for i, w := range words {
		text := s.text[w.from:w.to]
		for _, flag := range c.flags {
			rest, ok := strings.CutPrefix(text, flag)
			if !ok {
				continue
			}
			switch {
			case rest == "" && i+1 < len(words):
				s.argument(c, words[i+1], 0)
			case rest != "" && (rest[0] == '=' || rest[0] == '"' || rest[0] == '\''):
				s.argument(c, shellWord{w.from + len(flag) + len(rest) - len(strings.TrimPrefix(rest, "=")), w.to, true}, 0)
			}
		}
	}
}

// assign remembers NAME="…".
func (s *shell) assign(words []shellWord) {
	for i, w := range words {
		if s.text[w.from:w.to] == "export" || s.text[w.from:w.to] == "local" || s.text[w.from:w.to] == "readonly" || s.text[w.from:w.to] == "declare" {
			continue
		}
		n := 0
		for w.from+n < w.to && (isWordByte(s.text[w.from+n])) {
			n++
		}
		if n == 0 || w.from+n >= w.to || s.text[w.from+n] != '=' || i > 8 {
			return
		}
		if w.quoted && len(s.variables) < maxVariables {
			s.variables[s.text[w.from:w.from+n]] = shellWord{w.from + n + 1, w.to, true}
		}
	}
}

func isWordByte(c byte) bool {
	return c == '_' || alphanumeric(c)
}

// argument takes a word as SQL, or the variables of which it is made.
func (s *shell) argument(c sqlClient, w shellWord, depth int) {
	const deep = 3
	text := strings.Trim(s.text[w.from:w.to], `"`)
	if len(text) < 500 && depth < deep {
		only := len(text) > 0
		var names []string
		for rest := text; rest != ""; {
			rest = strings.TrimLeft(rest, " \t\r\n;")
			if rest == "" {
				break
			}
			if rest[0] != '$' {
				only = false
				break
			}
			name := rest[1:]
			var behind string
			if strings.HasPrefix(name, "{") {
				name, behind, _ = strings.Cut(name[1:], "}")
			} else {
				n := 0
				for n < len(name) && isWordByte(name[n]) {
					n++
				}
				name, behind = name[:n], name[n:]
			}
			if name == "" {
				only = false
				break
			}
			names = append(names, name)
			rest = behind
		}
		if only {
			for _, name := range names {
				if v, ok := s.variables[name]; ok {
					s.argument(c, v, depth+1)
				}
			}
			return
		}
	}
	if !w.quoted || s.said[w.from] {
		return
	}
	s.add(c, w.from, s.masked(w.from, w.to, ' '))
}

func (s *shell) add(c sqlClient, from int, text string) {
	s.said[from] = true
	if strings.TrimSpace(text) == "" {
		return
	}
	s.found = append(s.found, piece{text: text, dialect: c.dialect, fallback: c.fallback, line: from})
}

// masked is text[from:to] as the client gets it, rune for rune. quote says what stands
// around: ' ' is a word whose quotes are part of it, '"' a heredoc in which variables
// count, and 0 one in which nothing does.
func (s *shell) masked(from, to int, quote byte) string {
	if quote == 0 {
		return s.text[from:to]
	}
	var b strings.Builder
	b.Grow(to - from)
	word := quote == ' '
	if word {
		quote = 0
	}
	for i := from; i < to; {
		c := s.text[i]
		switch {
		case word && quote == 0 && (c == '\'' || c == '"'), word && quote != 0 && c == quote:
			if quote == 0 {
				quote = c
			} else {
				quote = 0
			}
			b.WriteByte(' ')
			i++
		case quote == '\'':
			b.WriteByte(c)
			i++
		case c == '\\' && i+1 < to:
			// In double quotes and heredocs only these are escaped.
			if next := s.text[i+1]; quote == 0 || next == '$' || next == '`' || next == '\\' || next == '\n' || next == '"' && word {
				b.WriteByte(' ')
				b.WriteByte(next)
			} else {
				b.WriteByte(c)
				b.WriteByte(next)
			}
			i += 2
		case c == '`' && word || c == '$' && strings.HasPrefix(s.text[i:], "$("):
			end := min(s.substitution(i), to)
			if end <= i+1 {
				b.WriteByte(c)
				i++
				continue
			}
			blank(&b, s.text[i:end])
			i = end
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

// blank writes a placeholder of as many runes, with the line ends of the text.
func blank(b *strings.Builder, text string) {
	const placeholder = "${x}"
	n := 0
	short := utf8.RuneCountInString(text) < len(placeholder) || strings.ContainsAny(text[:min(len(text), len(placeholder))], "\n")
	for _, r := range text {
		switch {
		case r == '\n' || r == '\r':
			b.WriteRune(r)
		case short && n == 0:
			b.WriteByte('?')
		case !short && n < len(placeholder):
			b.WriteByte(placeholder[n])
		default:
			b.WriteByte(' ')
		}
		n++
	}
}
