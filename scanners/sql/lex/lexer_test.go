package lex_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/factgate/factgate/scanners/sql/lex"
)

var (
	hive     = lex.Options{Backslash: true, HashComments: true}
	postgres = lex.Options{NestedComments: true}
)

// show writes the tokens of text, without the blanks, as kind‹text›.
func show(text string, opt lex.Options) string {
	var out []string
	l := lex.New(text, opt)
	for t, ok := l.Next(); ok; t, ok = l.Next() {
		if t.Kind == lex.Space {
			continue
		}
		part := text[t.Start:t.End]
		switch t.Kind {
		case lex.Word, lex.Op, lex.Star, lex.Comma, lex.Dot, lex.LParen, lex.RParen, lex.LBracket, lex.RBracket, lex.LBrace, lex.RBrace:
			out = append(out, part)
		default:
			out = append(out, fmt.Sprintf("%s‹%s›", kinds[t.Kind], part))
		}
		if t.Unterminated {
			out = append(out, "!")
		}
	}
	return strings.Join(out, " ")
}

var kinds = map[lex.Kind]string{
	lex.LineComment: "note", lex.BlockComment: "note", lex.Hint: "hint", lex.Versioned: "ver", lex.Tag: "tag",
	lex.Quoted: "q", lex.String: "s", lex.Dollar: "$", lex.Number: "n", lex.Template: "t", lex.Param: "p",
	lex.FullWidth: "fw", lex.Terminator: "end", lex.Command: "cmd", lex.Data: "data",
}

func TestTokens(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		opt              lex.Options
	}{
		{"placeholders are atoms", "a_${x}=${yyyyMMdd-1d}+$(yyyyMMdd)-$[yyyyMMdd]/#{p}",
			"a_ t‹${x}› = t‹${yyyyMMdd-1d}› + t‹$(yyyyMMdd)› - t‹$[yyyyMMdd]› / t‹#{p}›", hive},
		{"placeholders nest", "$[add_months(yyyyMMdd,-1)] ${a:${b}} $(f(x))", "t‹$[add_months(yyyyMMdd,-1)]› t‹${a:${b}}› t‹$(f(x))›", hive},
		{"an open placeholder is none", "${x\n}", "$ { x }", hive},
		{"jinja", "{{ ref('it''s') }}{% if x == \"'\" %}{# it's #}", "t‹{{ ref('it''s') }}› tag‹{% if x == \"'\" %}› note‹{# it's #}›", hive},
		{"jinja without an end", "{{ a", "{ { a", hive},
		{"a tag without an end", "a {% if", "a tag‹{% if› !", hive},
		{"quotes are doubled", "'it''s' `a``b` \"x\"\"y\"", "s‹'it''s'› q‹`a``b`› q‹\"x\"\"y\"›", hive},
		{"backslash in Hive", `'it\'s' '\\' x`, `s‹'it\'s'› s‹'\\'› x`, hive},
		{"backslash in PostgreSQL", `'c:\' E'it\'s' x`, `s‹'c:\'› s‹E'it\'s'› x`, postgres},
		{"raw strings", `r'\d\' x`, `s‹r'\d\'› x`, hive},
		{"escape clause", `like 'a\%' escape '\' and b`, `like s‹'a\%'› escape s‹'\'› and b`, hive},
		{"open string", "a 'b", "a s‹'b› !", hive},
		{"dollar quotes", "$$ it's; $$ $body$ a $$ b $body$ $1 a$b", "$‹$$ it's; $$› $‹$body$ a $$ b $body$› p‹$1› a$b", postgres},
		{"a dollar without a partner", "a $$ b", "a $$ b", hive},
		{"comments", "a--b\n#c\n/*d;*/e", "a note‹--b› note‹#c› note‹/*d;*/› e", hive},
		{"nested comments", "/*a/*b*/c*/d", "note‹/*a/*b*/c*/› d", postgres},
		{"comments that do not nest", "/*a/*b*/c", "note‹/*a/*b*/› c", hive},
		{"open comment", "a /* b", "a note‹/* b› !", hive},
		{"hash that is no comment", "from #tmp where a #> b", "from # tmp where a #> b", hive},
		{"hints and versions", "select /*+ x(a) */ /*!40001 sql_no_cache */ a", "select hint‹/*+ x(a) */› ver‹/*!40001› sql_no_cache ver‹*/› a", hive},
		{"delimiter", "DELIMITER $$\nBEGIN a; END$$\ndelimiter ;\nb;", "cmd‹DELIMITER $$› BEGIN a end‹;› END end‹$$› cmd‹delimiter ;› b end‹;›", hive},
		{"delimiter as a name", "select delimiter from t", "select delimiter from t", hive},
		{"numbers and words", "1.5e-3 0x1F 7days .5 a.b 1e5", "n‹1.5e-3› n‹0x1F› 7days n‹.5› a . b n‹1e5›", hive},
		{"operators", "a<>b!=c<=>d:=e::f||g=-1", "a <> b != c <=> d := e :: f || g = - n‹1›", hive},
		{"params", ":a @b @@c ? a::int", "p‹:a› p‹@b› p‹@@c› p‹?› a :: int", hive},
		{"full width", "count（a），“x”　金额", "count fw‹（› a fw‹），“› x fw‹”　› 金额", hive},
		{"client commands", "!sh ls 'x;\ndfs -rm /a/*/b;ADD JAR hdfs:///a--b.jar;\n\\copy t from 'x\nselect 1", "cmd‹!sh ls 'x› end‹;› cmd‹dfs -rm /a/*/b› end‹;› ADD cmd‹JAR hdfs:///a--b.jar› end‹;› cmd‹\\copy t from 'x› select n‹1›", hive},
		{"go", "a\nGO\nb go c", "a end‹GO› b go c", hive},
		{"copy", "COPY t FROM stdin;\n1\tit's\n\\.\nselect 1;", "COPY t FROM stdin end‹;› data‹\n1\tit's\n\\.› select n‹1› end‹;›", postgres},
		{"copy without rows", "COPY t FROM stdin;\nselect 1;", "COPY t FROM stdin end‹;› select n‹1› end‹;›", postgres},
		{"byte order mark", "\ufeffselect\u00a0a", "select a", hive},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, show(c.text, c.opt)) })
	}
}

func TestKeywordsAreKnownInAnyCase(t *testing.T) {
	for k := lex.Keyword(1); k.String() != ""; k++ {
		for _, word := range []string{k.String(), strings.ToLower(k.String())} {
			l := lex.New("x "+word+" ", hive)
			l.Next()
			l.Next()
			got, _ := l.Next()
			require.Equal(t, k, got.Keyword, word)
		}
	}
	l := lex.New("selects", hive)
	got, _ := l.Next()
	require.Equal(t, lex.None, got.Keyword)
}

// requireCover asserts the promise of the package: the tokens are the text.
func requireCover(t *testing.T, text string, opt lex.Options) {
	t.Helper()
	l := lex.New(text, opt)
	at := int32(0)
	for tok, ok := l.Next(); ok; tok, ok = l.Next() {
		if tok.Start != at || tok.End <= tok.Start || tok.Unterminated && int(tok.End) != len(text) {
			t.Fatalf("%q: token %+v behind %d", text[:min(len(text), 200)], tok, at)
		}
		at = tok.End
	}
	require.EqualValues(t, len(text), at)
}

func options(bits uint8) lex.Options {
	return lex.Options{Backslash: bits&1 != 0, HashComments: bits&2 != 0, NestedComments: bits&4 != 0}
}

func FuzzLexer(f *testing.F) {
	for _, seed := range []string{
		"SELECT * FROM t WHERE a = '${x}' -- noqa: SQL001",
		"DELIMITER $$\nBEGIN x; END$$\nDELIMITER ;\n", "{{ a }} {% b %} {# c #} ${d} $(e) $[f] #{g}",
		"/*!50001 a */ /*+ h */ /* c */ $t$ x $t$ $$", "COPY t FROM STDIN;\n1\n\\.\n", "E'\\'' r'\\' \"a\" `b` 'c'''",
		"，（）\xff\xfe\u3000\ufeff", "!x\n\\y\ndfs z;add jar q;rem it's\ngo\n", "like '%' escape '\\'", "\x00", "${", "$", "'\\",
	} {
		f.Add(seed, uint8(1))
		f.Add(seed, uint8(4))
	}
	f.Fuzz(func(t *testing.T, text string, bits uint8) { requireCover(t, text, options(bits)) })
}

func TestWorkIsLinear(t *testing.T) {
	for _, unit := range []string{
		"(", "${", "${a", "$(", "$[", "{{", "{%", "{#", "/*", "/*!", "/*! */", "$$", "$a$ ", "'", "`", "\"", "#{", "#",
		"a ", "--", "go ", "GO\n", " \\", "\n!", "\ndelimiter x", "*/", "E'", "，", "x$", "://", "}}", "\ncopy stdin;",
	} {
		for bits := range uint8(8) {
			const n = 1 << 12
			text := strings.Repeat(unit, n/len(unit))
			requireCover(t, text, options(bits))
			l := lex.New(text, options(bits))
			for _, ok := l.Next(); ok; _, ok = l.Next() {
			}
			require.Less(t, l.Steps(), 150*n, "%q", unit)
		}
	}
	// Tags that differ must not be searched for again and again.
	var b strings.Builder
	for i := range 1 << 12 {
		fmt.Fprintf(&b, "$t%d$ ", i)
	}
	l := lex.New(b.String(), postgres)
	for _, ok := l.Next(); ok; _, ok = l.Next() {
	}
	require.Less(t, l.Steps(), 50*b.Len())
}
