package lex

import (
	"strings"
	"unicode/utf8"
)

// Options say how to read where dialects disagree.
type Options struct {
	// Backslash: \' does not end a string (Hive, Spark, MySQL, ClickHouse).
	Backslash bool
	// HashComments: # begins a comment (MySQL).
	HashComments bool
	// NestedComments: /* /* */ */ is one comment (PostgreSQL, Spark 3).
	NestedComments bool
}

const (
	maxPlaceholder = 128 // bytes of ${…} and its like; longer ones are not placeholders
	maxTagName     = 64  // bytes between the dollars of $tag$
	maxLostTags    = 8   // $tag$ that is never closed is tolerated this often, so that the search stays linear
)

// Lexer yields the tokens of one text. The zero value is not usable.
type Lexer struct {
	text string
	opt  Options
	pos  int

	delimiter string  // set by DELIMITER; "" is ;
	atStart   bool    // nothing but trivia since the last terminator
	last      Keyword // the last token that is not trivia, if it was a keyword
	versioned bool    // inside /*! */
	copying   copyState

	// A closer that was searched for and not found is not searched for again.
	lost     [len(closers)]bool
	lostTags int
	steps    int
}

type copyState uint8

const (
	noCopy    copyState = iota
	copyHead            // the statement began with COPY
	copyStdin           // … and says STDIN: data follow its terminator
	copyData
)

// New returns a lexer at the beginning of text, which is at most MaxText long.
func New(text string, opt Options) *Lexer {
	return &Lexer{text: text, opt: opt, atStart: true}
}

// Steps is a measure of the work done so far, in bytes looked at.
func (l *Lexer) Steps() int { return l.steps }

// Next returns the next token, or false at the end of the text.
func (l *Lexer) Next() (Token, bool) {
	if l.pos >= len(l.text) {
		return Token{}, false
	}
	start := l.pos
	t := l.token()
	if l.pos <= start { // cannot be; but an endless loop would be worse than an odd token
		l.pos = start + 1
	}
	t.Start, t.End = int32(start), int32(l.pos)
	l.steps += l.pos - start
	l.remember(t)
	return t, true
}

// remember keeps what the meaning of the following characters depends on.
func (l *Lexer) remember(t Token) {
	if t.Kind.Trivia() {
		return
	}
	switch {
	case t.Kind == Terminator:
		l.atStart = true
		if l.copying == copyStdin {
			l.copying = copyData
		} else {
			l.copying = noCopy
		}
	case t.Kind == Command || t.Kind == Data:
	case l.atStart:
		l.atStart = false
		if t.Keyword == Copy {
			l.copying = copyHead
		}
	case l.copying == copyHead && t.Keyword == Stdin:
		l.copying = copyStdin
	}
	l.last = t.Keyword
}

func (l *Lexer) token() Token {
	c := l.text[l.pos]
	if l.copying == copyData && (c == '\n' || c == '\r') {
		l.copying = noCopy
		return l.copied()
	}
	if l.delimiter != "" && strings.HasPrefix(l.text[l.pos:], l.delimiter) {
		l.pos += len(l.delimiter)
		return Token{Kind: Terminator}
	}
	switch class[c] {
	case isSpace:
		return l.space()
	case isLetter:
		return l.word()
	case isDigit:
		return l.number()
	case isHigh:
		return l.high()
	}
	switch c {
	case '\'':
		return l.quoted(String, '\'', l.opt.Backslash)
	case '"':
		return l.quoted(Quoted, '"', l.opt.Backslash)
	case '`':
		return l.quoted(Quoted, '`', false)
	case '-':
		if l.at(1) == '-' {
			return l.lineComment()
		}
	case '/':
		if l.at(1) == '*' {
			return l.blockComment()
		}
	case '*':
		if l.versioned && l.at(1) == '/' {
			l.versioned = false
			return l.take(Versioned, 2)
		}
		return l.take(Star, 1)
	case '#':
		if l.at(1) == '{' {
			if n := l.placeholder('}'); n > 0 {
				return l.take(Template, n)
			}
		}
		if l.hashComment() {
			return l.lineComment()
		}
	case '{':
		return l.brace()
	case '$':
		return l.dollar()
	case '@', ':':
		return l.param(c)
	case '?':
		return l.take(Param, 1)
	case '!':
		if l.atStart && l.lineStart() {
			return l.command(";\n")
		}
	case '\\':
		if l.atStart && l.lineStart() {
			return l.command("\n")
		}
	case '.':
		if isDigitByte(l.at(1)) && !l.glued() {
			return l.number()
		}
		return l.take(Dot, 1)
	}
	if k := punctuation[c]; k != 0 {
		return l.take(k, 1)
	}
	return l.operator()
}

var punctuation = [128]Kind{
	',': Comma, '(': LParen, ')': RParen, '[': LBracket, ']': RBracket, '{': LBrace, '}': RBrace, ';': Terminator,
}

// at is the byte n behind the current one, or 0.
func (l *Lexer) at(n int) byte {
	if l.pos+n < len(l.text) {
		return l.text[l.pos+n]
	}
	return 0
}

func (l *Lexer) take(k Kind, n int) Token {
	l.pos += n
	return Token{Kind: k}
}

// toEnd takes all that is left: what was opened here is never closed.
func (l *Lexer) toEnd(k Kind) Token {
	l.pos = len(l.text)
	return Token{Kind: k, Unterminated: true}
}

// lineStart reports whether only blanks stand before the current byte on its
// line. It looks at no more bytes than a sane indentation has.
func (l *Lexer) lineStart() bool {
	for i := l.pos - 1; i >= 0 && i > l.pos-maxPlaceholder; i-- {
		l.steps++
		switch l.text[i] {
		case '\n', '\r':
			return true
		case ' ', '\t':
		default:
			return i < 3 && strings.HasPrefix(l.text, "\uFEFF")
		}
	}
	return l.pos < maxPlaceholder
}

// glued reports whether a name may end right before the current byte.
func (l *Lexer) glued() bool {
	if l.pos == 0 {
		return false
	}
	switch c := l.text[l.pos-1]; c {
	case '`', '"', ']', '}', ')', '.':
		return true
	default:
		return isWordByte(c) || class[c] == isHigh
	}
}

// Classes of bytes.
const (
	isOther = iota
	isSpace
	isLetter
	isDigit
	isHigh // part of a rune beyond ASCII
)

var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == ' ' || '\t' <= c && c <= '\r' || c == 0:
			t[c] = isSpace
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_':
			t[c] = isLetter
		case '0' <= c && c <= '9':
			t[c] = isDigit
		case c >= utf8.RuneSelf:
			t[c] = isHigh
		}
	}
	return t
}()

func isDigitByte(c byte) bool { return class[c] == isDigit }
func isWordByte(c byte) bool  { return class[c] == isLetter || class[c] == isDigit }

func (l *Lexer) space() Token {
	for l.pos < len(l.text) && class[l.text[l.pos]] == isSpace {
		if l.copying == copyData && l.text[l.pos] == '\n' {
			break
		}
		l.pos++
	}
	return Token{Kind: Space}
}

func (l *Lexer) lineComment() Token {
	l.pos = l.lineEnd()
	return Token{Kind: LineComment}
}

// lineEnd is the position of the next line end, or of the end of the text.
func (l *Lexer) lineEnd() int {
	for i := l.pos; i < len(l.text); i++ {
		if c := l.text[i]; c == '\n' || c == '\r' {
			return i
		}
	}
	return len(l.text)
}

// blockComment reads from /*. Hints and version comments are told apart.
func (l *Lexer) blockComment() Token {
	kind := BlockComment
	switch l.at(2) {
	case '+':
		kind = Hint
	case '!':
		if !l.versioned {
			n := 3
			for isDigitByte(l.at(n)) {
				n++
			}
			if !l.closes(versionEnd) {
				return l.toEnd(BlockComment)
			}
			l.versioned = true
			return l.take(Versioned, n)
		}
	}
	depth, i := 1, l.pos+2
	for i < len(l.text) {
		n := strings.IndexAny(l.text[i:], "*/")
		if n < 0 {
			break
		}
		i += n
		switch {
		case strings.HasPrefix(l.text[i:], "*/"):
			i += 2
			if depth--; depth == 0 {
				l.pos = i
				return Token{Kind: kind}
			}
		case l.opt.NestedComments && strings.HasPrefix(l.text[i:], "/*"):
			depth++
			i += 2
		default:
			i++
		}
	}
	return l.toEnd(kind)
}

// hashComment decides whether # begins a comment: #tmp behind FROM is a table of
// T-SQL, #> and #- are operators of PostgreSQL.
func (l *Lexer) hashComment() bool {
	if !l.opt.HashComments {
		return false
	}
	switch c := l.at(1); {
	case c == '>' || c == '-':
		return false
	case isWordByte(c):
		switch l.last {
		case From, Join, Into, Table, Update, Exists, Using:
			return false
		}
	}
	return true
}

// closers are the ends of what may be searched for far ahead.
var closers = [...]string{versionEnd: "*/", exprEnd: "}}", tagEnd: "%}", noteEnd: "#}", rowsEnd: "\n\\."}

const (
	versionEnd = iota
	exprEnd
	tagEnd
	noteEnd
	rowsEnd
)

// closes reports whether the closer stands ahead at all.
func (l *Lexer) closes(closer int) bool { return l.find(closer) > 0 }

// find returns how many bytes there are up to the end of the closer, or 0.
func (l *Lexer) find(closer int) int {
	if l.lost[closer] {
		return 0
	}
	from := l.pos
	if closer != rowsEnd { // the opener takes two bytes
		from = min(from+2, len(l.text))
	}
	n := strings.Index(l.text[from:], closers[closer])
	if n < 0 {
		l.steps += len(l.text) - from
		l.lost[closer] = true
		return 0
	}
	return from - l.pos + n + len(closers[closer])
}

func (l *Lexer) brace() Token {
	switch l.at(1) {
	case '{':
		if n := l.find(exprEnd); n > 0 {
			return l.take(Template, n)
		}
	case '%':
		if n := l.find(tagEnd); n > 0 {
			return l.take(Tag, n)
		}
		return l.toEnd(Tag)
	case '#':
		if n := l.find(noteEnd); n > 0 {
			return l.take(BlockComment, n)
		}
		return l.toEnd(BlockComment)
	}
	return l.take(LBrace, 1)
}

// placeholder measures ${x} and its like: on one line, short, up to the first
// closer; brackets of the same kind inside are counted.
func (l *Lexer) placeholder(closer byte) int {
	opener := l.at(1)
	depth := 0
	for n := 1; n < maxPlaceholder; n++ {
		l.steps++
		switch c := l.at(n); c {
		case 0, '\n', '\r':
			return 0
		case opener:
			depth++
		case closer:
			if depth--; depth == 0 {
				return n + 1
			}
		}
	}
	return 0
}

func (l *Lexer) dollar() Token {
	closer := byte(0)
	switch c := l.at(1); {
	case c == '{':
		closer = '}'
	case c == '(':
		closer = ')'
	case c == '[':
		closer = ']'
	case isDigitByte(c):
		n := 1
		for isDigitByte(l.at(n)) {
			n++
		}
		return l.take(Param, n)
	case c == '$' || isWordByte(c) || class[c] == isHigh:
		return l.dollarQuoted()
	}
	if closer != 0 {
		if n := l.placeholder(closer); n > 0 {
			return l.take(Template, n)
		}
	}
	return l.take(Op, 1)
}

// dollarQuoted reads $$…$$ and $tag$…$tag$. Other dialects have a use for lone
// dollars, so one without a partner is an operator.
func (l *Lexer) dollarQuoted() Token {
	n := 1
	for n < maxTagName && (isWordByte(l.at(n)) || class[l.at(n)] == isHigh) {
		n++
	}
	l.steps += n
	if l.at(n) != '$' {
		return l.take(Param, n) // $name
	}
	n++
	if l.lostTags < maxLostTags {
		tag := l.text[l.pos : l.pos+n]
		if end := strings.Index(l.text[l.pos+n:], tag); end >= 0 {
			return l.take(Dollar, n+end+n)
		}
		l.steps += len(l.text) - l.pos
		l.lostTags++
	}
	return l.take(Op, n)
}

func (l *Lexer) param(c byte) Token {
	n := 1
	if c == '@' {
		for l.at(n) == '@' && n < 3 {
			n++
		}
	} else if l.at(1) == ':' || l.at(1) == '=' {
		return l.take(Op, 2)
	}
	if class[l.at(n)] != isLetter && class[l.at(n)] != isHigh {
		return l.take(Op, 1)
	}
	for isWordByte(l.at(n)) || class[l.at(n)] == isHigh && l.fullWidth(l.pos+n) == 0 {
		n++
	}
	return l.take(Param, n)
}

// quoted reads a string or a quoted name; the quote itself is doubled inside, or
// escaped if backslashes are.
func (l *Lexer) quoted(k Kind, quote byte, backslash bool) Token {
	if quote == '\'' && l.last == Escape && strings.HasPrefix(l.text[l.pos:], `'\'`) && l.at(3) != '\'' {
		return l.take(String, 3) // LIKE … ESCAPE '\'
	}
	i := l.pos + 1
	for i < len(l.text) {
		if !backslash {
			n := strings.IndexByte(l.text[i:], quote)
			if n < 0 {
				break
			}
			i += n
		}
		switch c := l.text[i]; {
		case c == quote:
			if i+1 < len(l.text) && l.text[i+1] == quote {
				i += 2
				continue
			}
			l.pos = i + 1
			return Token{Kind: k}
		case c == '\\' && backslash:
			i += 2
		default:
			i++
		}
	}
	return l.toEnd(k)
}

// word reads a word that begins with an ASCII letter.
func (l *Lexer) word() Token {
	start := l.pos
	i := l.pos
	ascii := true
scan:
	for i < len(l.text) {
		switch c := l.text[i]; class[c] {
		case isLetter, isDigit:
			i++
		case isHigh:
			n := l.wordRune(i)
			if n == 0 {
				break scan
			}
			i += n
			ascii = false
		default:
			// a$b is a word; a${b}, a$$ and a$ are not.
			if c != '$' || i+1 >= len(l.text) || !isWordByte(l.text[i+1]) ||
				l.delimiter != "" && strings.HasPrefix(l.text[i:], l.delimiter) {
				break scan
			}
			i++
		}
	}
	l.pos = i
	w := l.text[start:i]
	t := Token{Kind: Word}
	if !ascii {
		return t
	}
	if i < len(l.text) && l.text[i] == '\'' && len(w) <= 2 {
		switch w {
		case "E", "e":
			return l.quoted(String, '\'', true)
		case "R", "r":
			return l.quoted(String, '\'', false)
		case "N", "n", "B", "b", "X", "x":
			return l.quoted(String, '\'', l.opt.Backslash)
		}
	}
	t.Keyword = keyword(w)
	switch t.Keyword {
	case None:
	case Delimiter:
		if l.atStart && l.blankAhead() {
			return l.setDelimiter()
		}
	case Go:
		end := l.lineEnd()
		if l.lineStartAt(start) && end-i < maxPlaceholder && strings.TrimSpace(l.text[i:end]) == "" {
			t.Kind, t.Keyword = Terminator, None
		}
	case Dfs:
		if l.atStart && l.blankAhead() {
			return l.command(";\n")
		}
	case Rem, Remark, Prompt:
		if l.atStart && l.blankAhead() && l.lineStartAt(start) {
			return l.command("\n")
		}
	case Jar, Jars, File, Files, Archive, Archives:
		if l.last == Add && l.blankAhead() {
			return l.command(";\n")
		}
	}
	return t
}

func (l *Lexer) lineStartAt(pos int) bool {
	here := l.pos
	l.pos = pos
	ok := l.lineStart()
	l.pos = here
	return ok
}

// blankAhead reports whether a blank follows the word just read.
func (l *Lexer) blankAhead() bool { return l.at(0) == ' ' || l.at(0) == '\t' }

// setDelimiter reads a DELIMITER line of the mysql client.
func (l *Lexer) setDelimiter() Token {
	end := l.lineEnd()
	d, _, _ := strings.Cut(strings.TrimSpace(l.text[l.pos:end]), " ")
	if len(d) <= maxTagName && d != "" {
		l.delimiter = d
		if d == ";" {
			l.delimiter = ""
		}
	}
	l.pos = end
	return Token{Kind: Command}
}

// command takes the rest of a client's command, up to one of the stops.
func (l *Lexer) command(stops string) Token {
	n := strings.IndexAny(l.text[l.pos:], stops)
	if n < 0 {
		n = len(l.text) - l.pos
	}
	l.pos += max(n, 1)
	return Token{Kind: Command}
}

// copied takes the rows behind COPY … FROM STDIN; through the line \. that ends
// them.
func (l *Lexer) copied() Token {
	if n := l.find(rowsEnd); n > 0 {
		return l.take(Data, n)
	}
	return l.space() // a program that feeds the rows itself has none in the file
}

// number reads 12, 1.5e-3, 0x1F. A word that begins with a digit, as Hive allows
// them, is a word.
func (l *Lexer) number() Token {
	const (
		digits = iota // and dots
		exponent
		hex
		letters
	)
	i, seen := l.pos, digits
	for ; i < len(l.text); i++ {
		c := l.text[i]
		switch {
		case class[c] == isDigit:
		case c == '.' && seen == digits:
		case (c == 'e' || c == 'E') && seen == digits:
			seen = exponent
			if i+2 < len(l.text) && (l.text[i+1] == '+' || l.text[i+1] == '-') && isDigitByte(l.text[i+2]) {
				i++
			}
		case (c == 'x' || c == 'X') && i == l.pos+1 && l.text[l.pos] == '0':
			seen = hex
		case class[c] == isLetter:
			if seen != hex {
				seen = letters
			}
		default:
			goto end
		}
	}
end:
	l.pos = i
	if seen == letters {
		return Token{Kind: Word}
	}
	return Token{Kind: Number}
}

// high reads what begins with a rune beyond ASCII.
func (l *Lexer) high() Token {
	if n := l.fullWidth(l.pos); n > 0 {
		for n > 0 {
			l.pos += n
			n = l.fullWidth(l.pos)
		}
		return Token{Kind: FullWidth}
	}
	r, n := utf8.DecodeRuneInString(l.text[l.pos:])
	if blank(r) {
		l.pos += n
		return Token{Kind: Space}
	}
	return l.word()
}

// wordRune returns the length of the rune at i if it can be part of a word.
func (l *Lexer) wordRune(i int) int {
	r, n := utf8.DecodeRuneInString(l.text[i:])
	if fullWidth(r) || blank(r) {
		return 0
	}
	return n
}

func (l *Lexer) fullWidth(i int) int {
	if i >= len(l.text) || l.text[i] < 0xe2 {
		return 0
	}
	if r, n := utf8.DecodeRuneInString(l.text[i:]); fullWidth(r) {
		return n
	}
	return 0
}

// blank are the runes that look like a blank, or like nothing.
func blank(r rune) bool {
	return r == 0xa0 || r == 0x85 || r == 0xfeff || 0x2000 <= r && r <= 0x200d || r == 0x2028 || r == 0x2029
}

// fullWidth are the punctuation and the blank that a Chinese input method puts in
// place of the ASCII ones.
func fullWidth(r rune) bool {
	switch {
	case r < 0x2014:
		return false
	case r < 0x3000:
		return r == 0x2014 || r == 0x2018 || r == 0x2019 || r == 0x201c || r == 0x201d || r == 0x2026
	case r < 0xff00:
		return r <= 0x3002 || 0x3008 <= r && r <= 0x3011 || 0x3014 <= r && r <= 0x301b
	}
	return 0xff01 <= r && r <= 0xff0f || 0xff1a <= r && r <= 0xff20 || 0xff3b <= r && r <= 0xff40 ||
		0xff5b <= r && r <= 0xff65 || 0xffe0 <= r && r <= 0xffe6
}

func (l *Lexer) operator() Token {
	for _, n := range [...]int{3, 2} {
		if l.pos+n <= len(l.text) {
			switch l.text[l.pos : l.pos+n] {
			case "<=>", "->>", "#>>", "<>", "!=", "<=", ">=", "==", "=>", "||", "&&", "->", "#>", "!~", "~*", "<<", ">>":
				return l.take(Op, n)
			}
		}
	}
	return l.take(Op, 1)
}
