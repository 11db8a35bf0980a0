package sql

import (
	"strings"

	"github.com/factgate/factgate/scanners/sql/lex"
)

// splitter cuts a text into statements. It keeps the tokens of one statement at a
// time.
type splitter struct {
	text    string
	lex     *lex.Lexer
	s       Statement
	open    []int32 // indexes of open brackets
	done    bool
	routine bool // inside the body of a stored routine
}

func newSplitter(text string, opt lex.Options, buffers *Statement, file *fileView) *splitter {
	sp := &splitter{text: text, lex: lex.New(text, opt)}
	sp.s.file, sp.s.shape = file, buffers.shape
	sp.s.Tokens, sp.s.Comments = buffers.Tokens[:0], buffers.Comments[:0]
	return sp
}

// next returns the following statement, or nil at the end of the text. The last
// one may be empty but for its comments.
func (sp *splitter) next() *Statement {
	if sp.done {
		return nil
	}
	sp.s = Statement{text: sp.text, Tokens: sp.s.Tokens[:0], Comments: sp.s.Comments[:0], unclosed: -1, file: sp.s.file, shape: sp.s.shape, inserts: sp.s.inserts[:0]}
	sp.s.shape.reset()
	sp.open = sp.open[:0]
	s := &sp.s
	for {
		t, ok := sp.lex.Next()
		if !ok {
			sp.done = true
			break
		}
		if t.Kind == lex.Space {
			continue
		}
		if t.Kind == lex.Terminator {
			s.end = t
			break
		}
		if t.Kind == lex.Command || t.Kind == lex.Data || t.Unterminated {
			s.keep(t)
			if t.Unterminated {
				sp.done = true
			}
			if t.Unterminated || len(s.Tokens) == 1 && t.Kind != lex.Data {
				s.end = t
				break
			}
			continue
		}
		sp.take(t)
	}
	if len(sp.open) > 0 {
		s.unclosed = int(sp.open[0])
	}
	sp.understand()
	return s
}

// take adds one token.
func (sp *splitter) take(t lex.Token) {
	s := &sp.s
	switch {
	case t.Kind.Comment():
		if len(s.Comments) < maxTokens {
			s.Comments = append(s.Comments, t)
		} else {
			s.oversized = true
		}
		return
	case t.Kind == lex.Tag:
		s.conditional = true
		s.included = s.included || includes(sp.text[t.Start:t.End])
		return
	case t.Kind.Trivia():
		return
	}
	if len(s.Tokens) == 0 && t.Kind == lex.Op && sp.text[t.Start:t.End] == "/" {
		return // SQL*Plus runs the block above
	}
	here := int32(len(s.Tokens))
	switch t.Kind {
	case lex.LParen, lex.LBracket:
		t.Match = -1
		if int(here) < maxTokens {
			sp.open = append(sp.open, here)
		}
	case lex.RParen, lex.RBracket:
		t.Match = -1
		if n := len(sp.open); n > 0 && s.Tokens[sp.open[n-1]].Kind == t.Kind-1 {
			t.Match = sp.open[n-1]
			s.Tokens[t.Match].Match = here
			sp.open = sp.open[:n-1]
		}
	}
	s.keep(t)
}

func (s *Statement) keep(t lex.Token) {
	if len(s.Tokens) >= maxTokens {
		s.oversized = true
		return
	}
	s.Tokens = append(s.Tokens, t)
	s.kinds |= 1 << t.Kind
	if t.Keyword != lex.None {
		s.keywords.Add(t.Keyword)
	}
}

// includes reports whether a {% tag %} puts in text from elsewhere.
func includes(tag string) bool {
	word, _, _ := strings.Cut(strings.TrimLeft(tag, "{%-+ \t\r\n"), " ")
	switch word {
	case "include", "import", "call", "block", "extends":
		return true
	}
	return false
}

// understand finds the verb.
func (sp *splitter) understand() {
	s := &sp.s
	s.Head, s.Verb = s.locate()
	if s.routine {
		sp.routine = true
	}
	if s.Verb == lex.End && s.Len() <= s.Head+2 && !loopWords.Has(s.Keyword(s.Head+1)) ||
		s.end.Kind == lex.Terminator && sp.text[s.end.Start:s.end.End] != ";" {
		s.routine = sp.routine
		sp.routine = false
		return
	}
	s.routine = sp.routine
}

// verbs begin statements that the rules may look into, or that hold nothing for
// them.
var verbs = lex.SetOf(
	lex.Select, lex.From, lex.With, lex.Values, lex.Table, lex.Insert, lex.Update, lex.Delete, lex.Merge, lex.Replace,
	lex.Create, lex.Alter, lex.Drop, lex.Truncate, lex.Rename, lex.Comment, lex.Grant, lex.Revoke,
	lex.Set, lex.Use, lex.Show, lex.Describe, lex.Desc, lex.Explain, lex.Analyze, lex.Msck, lex.Refresh,
	lex.Cache, lex.Uncache, lex.Clear, lex.List, lex.Reset, lex.Reload, lex.Add, lex.Load, lex.Export, lex.Import, lex.Copy,
	lex.Start, lex.Commit, lex.Rollback, lex.Savepoint, lex.Release, lex.Lock, lex.Unlock,
	lex.Call, lex.Exec, lex.Execute, lex.Prepare, lex.Deallocate, lex.Do, lex.Perform, lex.Print,
	lex.Vacuum, lex.Optimize, lex.Reindex, lex.Check, lex.Cluster, lex.Kill, lex.System, lex.Attach, lex.Detach, lex.Exchange,
	lex.Open, lex.Close, lex.Fetch, lex.Raise, lex.Signal, lex.Resignal, lex.Leave, lex.Iterate, lex.Exit, lex.Continue,
	lex.Return, lex.End, lex.Begin, lex.Declare, lex.If, lex.Else, lex.Elseif, lex.Elsif, lex.While, lex.Loop, lex.Repeat,
	lex.Until, lex.For, lex.Case, lex.When, lex.Get, lex.Purge, lex.Undrop, lex.Recover, lex.Submit, lex.Cancel, lex.Pause,
	lex.Resume, lex.Stop, lex.Admin, lex.Sync, lex.Backup, lex.Restore, lex.Source, lex.Flush, lex.Install, lex.Uninstall,
	lex.Connect, lex.Disconnect, lex.Notify, lex.Listen, lex.Discard, lex.Move, lex.Whenever, lex.Exception, lex.Batch,
)

// inner are the verbs that are looked for inside control statements.
var inner = lex.SetOf(lex.Select, lex.With, lex.Insert, lex.Update, lex.Delete, lex.Merge, lex.Replace,
	lex.Create, lex.Alter, lex.Drop, lex.Truncate, lex.Call, lex.Set, lex.Return, lex.Leave, lex.Execute, lex.Exec,
	lex.Signal, lex.Raise, lex.Begin, lex.If, lex.Case, lex.While, lex.Loop, lex.Repeat, lex.Declare, lex.Fetch, lex.Open,
	lex.Close, lex.Iterate, lex.Commit, lex.Rollback, lex.Perform)

var (
	dml         = lex.SetOf(lex.Select, lex.Insert, lex.Update, lex.Delete, lex.Merge, lex.From, lex.Values)
	openers     = lex.SetOf(lex.Then, lex.Do, lex.Loop, lex.Begin)
	bodyOpeners = lex.SetOf(lex.Begin, lex.As, lex.Is, lex.Row, lex.Do, lex.Return, lex.Then)
	routines    = lex.SetOf(lex.Procedure, lex.Function, lex.Trigger, lex.Event, lex.Package, lex.Type)
	loopWords   = lex.SetOf(lex.If, lex.Loop, lex.While, lex.Repeat, lex.Case, lex.For)
)

// locate finds where the statement's verb stands, behind templates, brackets,
// labels and the words that steer a routine.
func (s *Statement) locate() (int, lex.Keyword) {
	i := 0
	for i < s.Len() {
		switch s.Kind(i) {
		case lex.LParen:
			i++
			continue
		case lex.Template, lex.Dollar:
			i++
			continue
		case lex.Command, lex.Data:
			return i, lex.System
		case lex.Param:
			if strings.HasPrefix(s.Text(i), "@") && s.assigns(i+1) { // @rows := SELECT …
				i += 2
				continue
			}
			return i, lex.None
		case lex.Word, lex.Quoted:
			if s.Text(i+1) == ":" && loopWords.Has(s.Keyword(i+2)) || s.Text(i+1) == ":" && s.Keyword(i+2) == lex.Begin {
				i += 2 // label:
				continue
			}
		default:
			return i, lex.None
		}
		k := s.Keyword(i)
		switch k {
		case lex.Begin:
			if i+1 < s.Len() && inner.Has(s.Keyword(i+1)) {
				s.routine = true
				i++
				continue
			}
			s.routine = s.routine || i > 0
			return i, k
		case lex.Else, lex.Loop, lex.Repeat:
			i++
			if i < s.Len() {
				continue
			}
			return i - 1, k
		case lex.If, lex.Elseif, lex.Elsif, lex.While, lex.When, lex.For, lex.Case, lex.Exception:
			if n := s.steered(i + 1); n > 0 {
				i = n
				continue
			}
			return i, k
		case lex.Declare:
			s.routine = true
			if s.Keyword(i+2) == lex.Handler || s.Keyword(i+2) == lex.Cursor || s.Keyword(i+1) == lex.Cursor {
				if n := s.steered(i + 2); n > 0 {
					i = n
					continue
				}
			}
			return i, k
		case lex.Create:
			return s.created(i)
		case lex.Procedure, lex.Function: // inside a package of PL/SQL
			s.routine = true
			head, verb := s.created(i - 1)
			return max(head, i), verb
		case lex.With:
			if n := s.Find(i+1, &dml); n > 0 {
				return n, s.Keyword(n)
			}
			return i, k
		}
		if verbs.Has(k) && !s.assigns(i+1) {
			return i, k
		}
		if s.assigns(i + 1) { // x := 1, in a routine
			return i, lex.Set
		}
		return i, lex.None
	}
	if s.Len() > 0 { // brackets and templates only
		return 0, lex.System
	}
	return 0, lex.None
}

func (s *Statement) assigns(i int) bool { return s.Text(i) == ":=" }

// steered finds the statement that IF, WHEN, WHILE and the like lead to: behind
// THEN, DO or LOOP, or in T-SQL right behind the condition.
func (s *Statement) steered(i int) int {
	for ; i < s.Len(); i = s.Next(i) {
		k := s.Keyword(i)
		switch {
		case k == lex.None:
		case openers.Has(k):
			if i+1 < s.Len() {
				return i + 1
			}
			return 0
		case inner.Has(k) && k != lex.If && k != lex.Case && s.Kind(i+1) != lex.LParen:
			return i
		}
	}
	return 0
}

// created tells the CREATE of a routine, with the first statement of its body,
// from all others.
func (s *Statement) created(i int) (int, lex.Keyword) {
	const far = 16 // OR REPLACE, DEFINER = `a`@`b`, …
	kind := -1
	for n := i + 1; n < min(i+far, s.Len()); n++ {
		if k := s.Keyword(n); k == lex.As || k == lex.Table || k == lex.View || s.Kind(n) == lex.LParen {
			break
		} else if routines.Has(k) {
			kind = n
			break
		}
	}
	if kind < 0 {
		return i, lex.Create
	}
	for n := s.Next(kind); n < s.Len(); n = s.Next(n) {
		k := s.Keyword(n)
		if k == lex.None || !bodyOpeners.Has(k) {
			continue
		}
		next := s.Keyword(n + 1)
		s.routine = s.routine || k == lex.Begin || k == lex.Is ||
			k == lex.As && s.Kind(n+1) != lex.String && s.Kind(n+1) != lex.Dollar && s.Kind(n+1) != lex.Quoted
		if next == lex.Begin || next == lex.If || next == lex.Declare {
			continue
		}
		if next != lex.None && inner.Has(next) && (s.routine || k == lex.Row || k == lex.Do) {
			if next == lex.With {
				if m := s.Find(n+2, &dml); m > 0 {
					return m, s.Keyword(m)
				}
			}
			return n + 1, next
		}
	}
	return i, lex.Create
}
