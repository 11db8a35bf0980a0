package sql

import (
	"strings"

	"github.com/factgate/factgate/scanners/sql/lex"
)

// Statement is what stands between two terminators: a whole statement, or a part
// of a stored routine's body. It is valid until the splitter moves on.
type Statement struct {
	text string

	// Tokens mean something to the database; trivia are left out. The Match of a
	// bracket is the index of its partner, or -1.
	Tokens []lex.Token
	// Comments are those before and inside the statement.
	Comments []lex.Token

	// Verb says what the statement does and stands at Tokens[Head]: WITH … SELECT
	// is a SELECT, and IF x THEN DELETE … is a DELETE. It is None if the statement
	// is empty or not understood.
	Verb lex.Keyword
	Head int

	keywords lex.Keywords // all that occur
	kinds    uint32       // all that occur, as a bit set of lex.Kind

	conditional bool // {% … %} tags stand inside: what is filled in may open or close brackets
	included    bool // a tag puts in text from elsewhere
	routine     bool // begins the body of a stored routine
	within      bool // inside the body of a stored routine
	oversized   bool // too many tokens; the rest was dropped
	unclosed    int  // the first bracket that is never closed, or -1
	end         lex.Token

	steps    int // tokens that were looked at
	local    *localNames
	shape    *outline // built when a rule asks for it
	def      *definition
	defined  bool
	file     *fileView
	inserts  []insertion
	inserted bool
}

// maxTokens bounds the memory that one statement may take.
const maxTokens = 2 << 20

// Len is the number of tokens.
func (s *Statement) Len() int { return len(s.Tokens) }

// Kind is the kind of token i; outside of the statement it is lex.Space.
func (s *Statement) Kind(i int) lex.Kind {
	s.steps++
	if i < 0 || i >= len(s.Tokens) {
		return lex.Space
	}
	return s.Tokens[i].Kind
}

// Keyword is the keyword at i, or None.
func (s *Statement) Keyword(i int) lex.Keyword {
	s.steps++
	if i < 0 || i >= len(s.Tokens) {
		return lex.None
	}
	return s.Tokens[i].Keyword
}

// Text is the text of token i, or "".
func (s *Statement) Text(i int) string {
	if i < 0 || i >= len(s.Tokens) {
		return ""
	}
	return s.text[s.Tokens[i].Start:s.Tokens[i].End]
}

// Has reports whether a keyword occurs anywhere.
func (s *Statement) Has(k lex.Keyword) bool { return s.keywords.Has(k) }

// HasKind reports whether a kind of token occurs anywhere.
func (s *Statement) HasKind(k lex.Kind) bool { return s.kinds&(1<<k) != 0 }

// Next is the index of the token behind i on the same level: an opening bracket
// is left behind together with what it holds. At a closing bracket, which ends
// the level, and at the end it is Len.
func (s *Statement) Next(i int) int {
	switch s.Kind(i) {
	case lex.LParen, lex.LBracket:
		if m := s.Tokens[i].Match; m > 0 {
			i = int(m)
		}
	}
	i++
	if k := s.Kind(i); k == lex.RParen || k == lex.RBracket {
		return len(s.Tokens)
	}
	return min(i, len(s.Tokens))
}

// Find returns the first token from i on, on the same level, with one of the
// keywords, or -1.
func (s *Statement) Find(i int, any *lex.Keywords) int {
	for ; i < len(s.Tokens); i = s.Next(i) {
		if k := s.Keyword(i); k != lex.None && any.Has(k) {
			return i
		}
	}
	return -1
}

// Glued reports whether token i follows its predecessor without a gap.
func (s *Statement) Glued(i int) bool {
	return i > 0 && i < len(s.Tokens) && s.Tokens[i-1].End == s.Tokens[i].Start
}

// SkipName returns the index behind the dotted name at i, such as db.t,
// `db`.`t_${day}` or {{ ref('t') }}, or i if there is none.
func (s *Statement) SkipName(i int) int {
	if !nameKind(s.Kind(i)) {
		return i
	}
	for i++; ; i++ {
		switch k := s.Kind(i); {
		case k == lex.Dot:
		case nameKind(k) && (s.Kind(i-1) == lex.Dot || s.Glued(i)):
		default:
			return i
		}
	}
}

func nameKind(k lex.Kind) bool {
	switch k {
	case lex.Word, lex.Quoted, lex.Template, lex.Param, lex.Number:
		return true
	}
	return false
}

// bytes is the extent of tokens from to to, inclusive.
func (s *Statement) bytes(from, to int) (start, end int) {
	return int(s.Tokens[from].Start), int(s.Tokens[to].End)
}

// localNames are the names that WITH clauses define in a statement, folded.
type localNames struct{ names map[string]bool }

// Local reports whether name is a common table expression of this statement.
func (s *Statement) Local(name string) bool {
	if !s.Has(lex.With) {
		return false
	}
	if s.local == nil {
		s.local = &localNames{names: map[string]bool{}}
		for i := range s.Tokens {
			if s.Keyword(i) == lex.As && s.opensQuery(i+1) {
				s.local.add(s, i)
			}
		}
	}
	return s.local.names[foldName(name)]
}

// opensQuery reports whether [NOT] [MATERIALIZED] ( begins at i.
func (s *Statement) opensQuery(i int) bool {
	if s.Keyword(i) == lex.Not {
		i++
	}
	if s.Keyword(i) == lex.Materialized {
		i++
	}
	return s.Kind(i) == lex.LParen
}

// add takes the name in front of the AS at i if it is being defined: WITH name
// AS (, or , name (columns) AS (.
func (l *localNames) add(s *Statement, as int) {
	i := as - 1
	if s.Kind(i) == lex.RParen {
		i = int(s.Tokens[i].Match) - 1
	}
	if !nameKind(s.Kind(i)) {
		return
	}
	if k := s.Keyword(i - 1); k == lex.With || k == lex.Recursive || s.Kind(i-1) == lex.Comma {
		l.names[foldName(s.Text(i))] = true
	}
}

func foldName(name string) string {
	return strings.ToLower(strings.Trim(name, "`\""))
}
