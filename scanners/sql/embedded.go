package sql

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/factgate/factgate/internal/xlsx"
	"github.com/factgate/factgate/internal/zippkg"
)

// piece is SQL that stands inside another file.
type piece struct {
	text    string
	dialect Dialect
	// fallback is the dialect if the text gives no sign of another: a client of MySQL
	// also speaks to Doris.
	fallback Dialect
	// line and column are where it begins, from 1. Of a text that stands there as it is
	// every place is known; of others, which have a pointer or a cell, only this one.
	line, column  int
	pointer, cell string
	depth         int // how many objects and arrays stand around a pointer
}

// inside reports whether the piece has places of its own.
func (p *piece) inside() bool { return p.pointer != "" || p.cell != "" }

// carrier is a kind of file that may hold SQL.
type carrier uint8

const (
	noCarrier carrier = iota
	shellScript
	jsonDocument
	yamlDocument
	workbook
)

func carrierOf(file string) carrier {
	switch strings.ToLower(path.Ext(file)) {
	case ".sh", ".bash", ".ksh":
		return shellScript
	case ".json":
		return jsonDocument
	case ".yml", ".yaml":
		return yamlDocument
	case ".xlsx", ".xlsm":
		return workbook
	}
	return noCarrier
}

// Limits of what is looked through for SQL.
const (
	maxPieces     = 20_000 // of one file
	maxYAML       = 2 << 20
	maxJSONDepth  = 64
	maxCodeBytes  = 4 << 20 // of one text in base64
	headBytes     = 64 << 10
	maxHeads      = 400 // files that a decision looks into
	maxWorkbooks  = 16  // … and workbooks, which cost more
	decisionRows  = 200
	headerRows    = 10
	maxHeaderCell = 40
)

// marks are words without which a file of the kind holds no SQL: most files are left
// after one search.
func marked(kind carrier, text string) bool {
	switch kind {
	case shellScript:
		for _, word := range [...]string{"hive", "beeline", "spark", "sql", "clickhouse", "odps", "impala", "presto", "trino"} {
			if containsFold(text, word) {
				return true
			}
		}
	case jsonDocument, yamlDocument:
		return containsFold(text, "codecontent") || containsFold(text, "code_content") || containsFold(text, "code-content")
	}
	return false
}

// containsFold is strings.Contains in any case of ASCII letters; word is in lower case.
func containsFold(text, word string) bool { return indexFold(text, word) >= 0 }

func indexFold(text, word string) int {
	first, upper := word[0], word[0]&^0x20
	for i := 0; i+len(word) <= len(text); i++ {
		if c := text[i]; c != first && c != upper {
			continue
		}
		if strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// pieces finds the SQL in a text file. What is broken holds none: that it is broken is
// another scanner's business.
func pieces(kind carrier, text string) []piece {
	if !marked(kind, text) {
		return nil
	}
	switch kind {
	case shellScript:
		return shellPieces(text)
	case jsonDocument:
		return jsonPieces(text)
	case yamlDocument:
		return yamlPieces(text)
	}
	return nil
}

// sqlTasks are the task types of WeData whose code is SQL, with their dialects.
var sqlTasks = map[int]Dialect{
	21: Unknown, 23: PostgreSQL, 32: Spark, 33: Unknown, 34: Hive, 36: Spark, 40: PostgreSQL, 43: Unknown, 48: Unknown, 134: Doris, 138: Unknown,
}

// taskFinder goes through a document of WeData and keeps the code of SQL tasks: an
// object has CodeContent, and itself or beside it a TaskTypeId.
type taskFinder struct {
	open  []taskObject
	found []piece
}

type taskObject struct {
	key   string // or index, in the object around
	array bool
	next  int // index of the next element
	kind  int // TaskTypeId, of the object or of one that it holds; or -1
	own   bool
	coded []piece // whose type is not known yet
}

func (t *taskFinder) enter(key string, array bool) {
	if n := len(t.open); n > 0 && t.open[n-1].array {
		key = strconv.Itoa(t.open[n-1].next)
		t.open[n-1].next++
	}
	t.open = append(t.open, taskObject{key: key, array: array, kind: -1})
}

func (t *taskFinder) leave() {
	n := len(t.open) - 1
	o := t.open[n]
	t.open = t.open[:n]
	if o.array {
		return
	}
	if o.kind >= 0 {
		dialect, isSQL := sqlTasks[o.kind]
		for _, p := range o.coded {
			if p.dialect = dialect; isSQL && len(t.found) < maxPieces {
				t.found = append(t.found, p)
			}
		}
	}
	if n == 0 || t.open[n-1].array {
		return
	}
	around := &t.open[n-1]
	if o.own && around.kind < 0 {
		around.kind = o.kind
	}
	if o.kind < 0 { // only one object further out is asked
		for _, p := range o.coded {
			if p.depth == n+1 {
				around.coded = append(around.coded, p)
			}
		}
	}
}

func (t *taskFinder) scalar(key, value string, line, column int) {
	n := len(t.open)
	if n == 0 {
		return
	}
	o := &t.open[n-1]
	if o.array {
		o.next++
		return
	}
	if len(key) > 20 {
		return
	}
	switch foldKey(key) {
	case "tasktypeid", "tasktype":
		if id, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), ".0")); err == nil && id >= 0 {
			o.kind, o.own = id, true
		}
	case "codecontent":
		if text, ok := decodeCode(value); ok && len(o.coded) < maxPieces {
			o.coded = append(o.coded, piece{text: text, line: line, column: column, pointer: t.pointer(key), depth: n})
		}
	}
}

// pointer is the JSON pointer of a key of the object that is open.
func (t *taskFinder) pointer(key string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	const long = 500
	for _, o := range t.open[1:] {
		if b.Len()+len(o.key) > long {
			b.WriteString("/…") // nobody reads on
			break
		}
		b.WriteByte('/')
		b.WriteString(escape.Replace(o.key))
	}
	b.WriteByte('/')
	b.WriteString(escape.Replace(key))
	return b.String()
}

// foldKey is a key without case, _ and -: the console, the API and hand-written files
// differ in these only.
func foldKey(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case r == '_' || r == '-':
			return -1
		}
		return r
	}, key)
}

// decodeCode reads base64 in both alphabets, with padding or without.
func decodeCode(value string) (string, bool) {
	if len(value) > maxCodeBytes {
		return "", false
	}
	value = strings.TrimRight(strings.NewReplacer("\r", "", "\n", "", " ", "").Replace(value), "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(value, "-_") {
		encoding = base64.RawURLEncoding
	}
	raw, err := encoding.DecodeString(value)
	if err != nil || len(raw) == 0 {
		return "", false
	}
	text := zippkg.Decode(raw)
	return text.Content, !text.Undecodable && text.Encoding != zippkg.Latin1
}

// jsonPieces reads a JSON document as a stream.
func jsonPieces(text string) []piece {
	var find taskFinder
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var offsets []int // of the scalars that became pieces
	key, named := "", false
	for {
		before := d.InputOffset()
		token, err := d.Token()
		if err != nil {
			if err != io.EOF {
				return nil
			}
			break
		}
		inObject := len(find.open) > 0 && !find.open[len(find.open)-1].array
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				if len(find.open) >= maxJSONDepth {
					return nil
				}
				find.enter(key, v == '[')
			default:
				find.leave()
			}
			named = false
		case string:
			if inObject && !named {
				key, named = v, true
				continue
			}
			from := int(before)
			for from < len(text) && text[from] != '"' {
				from++
			}
			find.scalar(key, v, len(offsets), 0)
			offsets = append(offsets, from)
			named = false
		case json.Number:
			find.scalar(key, v.String(), 0, 0)
			named = false
		default:
			find.scalar(key, "", 0, 0)
			named = false
		}
	}
	if len(find.found) == 0 {
		return nil
	}
	var starts []int
	for i := range find.found {
		find.found[i].line = offsets[find.found[i].line]
		starts = append(starts, find.found[i].line)
	}
	at := locate(text, starts)
	for i := range find.found {
		p := at(find.found[i].line)
		find.found[i].line, find.found[i].column = p.line, p.column
	}
	return find.found
}

// yamlPieces reads YAML documents.
func yamlPieces(text string) []piece {
	if len(text) > maxYAML {
		return nil
	}
	var all []piece
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	const most = 100 // documents
	for range most {
		var document yaml.Node
		if err := d.Decode(&document); err != nil {
			break
		}
		var find taskFinder
		walkYAML(&find, "", &document, 0)
		all = append(all, find.found...)
	}
	return all
}

// walkYAML goes through a node. Aliases are not followed: what they stand for stands
// in the document itself.
func walkYAML(find *taskFinder, key string, n *yaml.Node, depth int) {
	if depth > maxJSONDepth {
		return
	}
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			walkYAML(find, key, c, depth+1)
		}
	case yaml.MappingNode:
		find.enter(key, false)
		for i := 0; i+1 < len(n.Content); i += 2 {
			walkYAML(find, n.Content[i].Value, n.Content[i+1], depth+1)
		}
		find.leave()
	case yaml.SequenceNode:
		find.enter(key, true)
		for _, c := range n.Content {
			walkYAML(find, "", c, depth+1)
		}
		find.leave()
	case yaml.ScalarNode:
		find.scalar(key, n.Value, n.Line, n.Column)
	}
}

// workbookPieces finds the cells of a workbook, below a header that says so, that hold
// SQL or a command with SQL. rows bounds how far it looks into each sheet; 0 is all.
func workbookPieces(ctx context.Context, f *zippkg.File, rows int) ([]piece, error) {
	book, err := xlsx.OpenFile(ctx, f, xlsx.Limits{})
	if err != nil {
		return nil, err
	}
	defer book.Close()
	var found []piece
	for _, sheet := range book.Sheets {
		if err := sheetPieces(ctx, book, sheet, rows, &found); err != nil {
			return nil, err
		}
		if rows > 0 && len(found) > 0 {
			break
		}
	}
	return found, nil
}

func sheetPieces(ctx context.Context, book *xlsx.Workbook, sheet xlsx.Sheet, most int, found *[]piece) error {
	rows := book.Rows(ctx, sheet)
	defer rows.Close()
	bytes := 0
	for _, p := range *found {
		bytes += len(p.text)
	}
	var columns []int
	for n := 0; rows.Next() && (most == 0 || n < most) && len(*found) < maxPieces && bytes < maxText; n++ {
		row := rows.Row()
		if len(columns) == 0 {
			if n >= headerRows {
				break
			}
			for _, c := range row.Cells {
				if commandHeader(c.Value) {
					columns = append(columns, c.Column)
				}
			}
			continue
		}
		next := 0
		for _, c := range row.Cells {
			for next < len(columns) && columns[next] < c.Column {
				next++
			}
			if next == len(columns) {
				break
			}
			if columns[next] != c.Column || len(c.Value) < len("drop x") {
				continue
			}
			bytes += len(c.Value)
			cell := "'" + strings.ReplaceAll(sheet.Name, "'", "''") + "'!" + xlsx.CellName(c.Column, row.Number)
			if startsSQL(c.Value) {
				*found = append(*found, piece{text: c.Value, cell: cell})
				continue
			}
			if !marked(shellScript, c.Value) {
				continue
			}
			for _, p := range shellPieces(c.Value) {
				p.cell = cell
				*found = append(*found, p)
			}
		}
	}
	return rows.Err()
}

// commandHeader reports whether a header says that commands or SQL stand below.
func commandHeader(value string) bool {
	if len(value) > maxHeaderCell {
		return false
	}
	value = strings.ToLower(strings.Join(strings.FieldsFunc(value, func(r rune) bool {
		return r == ' ' || r == '\n' || r == '\r' || r == '\t' || r == '*' || r == '_' || r == '\u3000'
	}), ""))
	switch value {
	case "命令", "脚本内容", "执行命令", "command", "sql", "sql语句", "sql脚本", "sql内容", "执行sql", "script", "sqltext":
		return true
	}
	return false
}

// startsSQL reports whether a text begins, behind comments, like a statement.
func startsSQL(text string) bool {
	text = strings.TrimLeft(text, " \t\r\n(")
	for range 20 {
		if !strings.HasPrefix(text, "--") {
			break
		}
		_, rest, _ := strings.Cut(text, "\n")
		text = strings.TrimLeft(rest, " \t\r\n(")
	}
	word := text
	if i := strings.IndexFunc(text, func(r rune) bool { return r|0x20 < 'a' || r|0x20 > 'z' }); i >= 0 {
		word = text[:i]
	}
	if len(word) > 10 || len(word) == len(text) {
		return false
	}
	switch rest := strings.TrimLeft(text[len(word):], " \t\r\n"); strings.ToLower(word) {
	case "select":
		return len(rest) > 0 && rest[0] != '=' && rest[0] != '-'
	case "insert":
		return hasWord(rest, "into", "overwrite", "ignore")
	case "create", "drop", "alter", "truncate":
		return hasWord(rest, "table", "view", "database", "schema", "or", "external", "temporary", "index", "function")
	case "delete":
		return hasWord(rest, "from")
	case "merge":
		return hasWord(rest, "into")
	case "update":
		return containsFold(rest[:min(len(rest), 200)], " set ")
	case "with":
		return containsFold(rest, "select")
	case "set":
		return containsFold(rest, ";") && (containsFold(rest, "select ") || containsFold(rest, "insert "))
	}
	return false
}

func hasWord(text string, words ...string) bool {
	for _, w := range words {
		if len(text) > len(w) && strings.EqualFold(text[:len(w)], w) && text[len(w)] <= ' ' {
			return true
		}
	}
	return false
}

// holdsSQL reports whether a file that may carry SQL does, as far as its beginning
// tells.
func holdsSQL(ctx context.Context, f *zippkg.File) (bool, error) {
	kind := carrierOf(f.Path)
	if kind == workbook {
		found, err := workbookPieces(ctx, f, decisionRows)
		var fault *xlsx.Error
		if errors.As(err, &fault) {
			return false, nil
		}
		return len(found) > 0, err
	}
	head, err := beginning(f, headBytes)
	if err != nil {
		return false, err
	}
	if !marked(kind, head) {
		return false, nil
	}
	if len(head) < headBytes || kind == shellScript {
		return len(pieces(kind, head)) > 0, nil
	}
	// The beginning of a document cannot be read as a document; the type of a task is
	// enough.
	return namesSQLTask(head), nil
}

// namesSQLTask reports whether a text gives a task a type whose code is SQL.
func namesSQLTask(text string) bool {
	for _, key := range [...]string{"tasktypeid", "task_type_id", "task-type-id", "tasktype"} {
		for rest := text; ; {
			i := indexFold(rest, key)
			if i < 0 {
				break
			}
			rest = rest[i+len(key):]
			value := strings.TrimLeft(rest[:min(len(rest), 20)], "\"' :\t")
			n := 0
			for n < len(value) && '0' <= value[n] && value[n] <= '9' {
				n++
			}
			if id, err := strconv.Atoi(value[:n]); err == nil {
				if _, ok := sqlTasks[id]; ok {
					return true
				}
			}
		}
	}
	return false
}

// beginning reads the first bytes of a file, decoded. A file that cannot be read has
// none.
func beginning(f *zippkg.File, most int) (string, error) {
	r, err := f.Open()
	if err == nil {
		defer r.Close()
		raw := make([]byte, most)
		n, readErr := io.ReadFull(r, raw)
		if readErr == nil || readErr == io.ErrUnexpectedEOF || readErr == io.EOF {
			return zippkg.Decode(raw[:n]).Content, nil
		}
		err = readErr
	}
	var refused *zippkg.Error
	if errors.As(err, &refused) {
		return "", nil
	}
	return "", fmt.Errorf("SQL: look into %s: %w", f.Path, err)
}
