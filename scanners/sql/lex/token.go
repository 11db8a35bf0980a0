// Package lex cuts SQL text into tokens, without knowing the dialect for sure
// and without being confused by scheduler and template placeholders.
//
// It promises that the tokens cover the text exactly and in order, that no input
// makes it panic, and that its work is linear in the length of the text. Whatever
// is opened and never closed (a string, a comment) becomes one token that reaches
// to the end of the text and is flagged Unterminated.
//
// It refuses to guess at meaning: brackets, statements and clauses are the
// business of package sql. Where dialects disagree about characters, an [Options]
// value says how to read; start at [New].
package lex

// Kind says what a token is.
type Kind uint8

// The kinds of tokens. Space, the comments, Hint, Versioned and Tag carry no SQL
// of their own; see [Kind.Trivia].
const (
	Space        Kind = iota // blanks, line ends, byte order mark
	LineComment              // -- or #, without the line end
	BlockComment             // /* */ and {# #}
	Hint                     // /*+ */
	Versioned                // the brackets of MySQL's /*!50001 … */, whose inside is SQL
	Tag                      // {% %}: steers a template, yields no text by itself
	Word                     // keyword or plain identifier
	Quoted                   // `name`, "name" or "text"
	String                   // 'text', with its prefix as in E'text'
	Dollar                   // $$text$$ or $tag$text$tag$
	Number
	Template  // ${x}, #{x}, $(x), $[x], {{ x }}: some text to be filled in
	Param     // :x, @x, @@x, $1, ?
	Op        // an operator, or a character that is nothing else
	FullWidth // full-width punctuation, one or more
	Star
	Comma
	Dot
	LParen
	RParen
	LBracket
	RBracket
	LBrace
	RBrace
	Terminator // ';', the DELIMITER in force, or GO on a line of its own
	Command    // a client's command up to its end: DELIMITER //, !sh, dfs, ADD JAR, \copy
	Data       // what follows COPY … FROM STDIN, through \.
)

// Trivia reports whether tokens of this kind mean nothing to the statement.
func (k Kind) Trivia() bool { return k <= Tag }

// Comment reports whether tokens of this kind are for people.
func (k Kind) Comment() bool { return k == LineComment || k == BlockComment }

// Token is text[Start:End].
type Token struct {
	Kind         Kind
	Unterminated bool
	Keyword      Keyword // of a Word; None if it is no keyword
	Start, End   int32
	// Match is for the caller: the index of the token that closes or opens the
	// same bracket. The lexer leaves it 0.
	Match int32
}

// MaxText is the longest text that tokens can address.
const MaxText = 1<<31 - 1
