package queries

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/factgate/factgate/domain"
)

// Cursors are opaque to clients: base64url of a kind, a number and, for
// findings, a type. They stay valid across restarts and rebuilds, as they are
// made of what the log says.
const (
	taskCursor    = 't' // position of the task's first fact
	findingCursor = 'f' // attempt and ordinal, and type
	// deadLetterCursor holds the position of the fact that parked it.
	deadLetterCursor = 'd'
)

const maxCursorBytes = 1 + 8 + 512

func encodeCursor(kind byte, number int64, text string) string {
	b := binary.BigEndian.AppendUint64([]byte{kind}, uint64(number))
	return base64.RawURLEncoding.EncodeToString(append(b, text...))
}

// decodeCursor refuses whatever encodeCursor did not make for this kind.
func decodeCursor(kind byte, cursor string) (number int64, text string, err error) {
	if len(cursor) <= base64.RawURLEncoding.EncodedLen(maxCursorBytes) {
		b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
		if err == nil && len(b) >= 9 && b[0] == kind {
			n := binary.BigEndian.Uint64(b[1:])
			rest := string(b[9:])
			if n <= math.MaxInt64 && (kind == findingCursor && n&math.MaxUint32 <= math.MaxInt32 && utf8.ValidString(rest) && !strings.ContainsRune(rest, 0) || kind != findingCursor && rest == "") {
				return int64(n), rest, nil
			}
		}
	}
	return 0, "", &domain.Error{Kind: domain.Invalid, Rule: "cursor.invalid",
		Msg: fmt.Sprintf("%.60q is not a cursor of this list; give the endCursor of an earlier page", cursor), MsgZH: "游标无效；请使用上一页的 endCursor"}
}

// listing is the statement of a list, the newest entry first, that goes on below a
// cursor's position. It asks for one entry more than a page holds, see cut.
type listing struct {
	columns, position string // what is read, and the column that orders it
	size              int
	conditions        []string
	args              []any
}

// list begins one: columns is all between select and where.
func list(columns, position string, kind byte, first int, after string) (*listing, error) {
	size, err := page(first, 20)
	if err != nil {
		return nil, err
	}
	l := &listing{columns: columns, position: position, size: size}
	if after != "" {
		number, _, err := decodeCursor(kind, after)
		if err != nil {
			return nil, err
		}
		l.where(position+" < ?", number)
	}
	return l, nil
}

// where adds a condition; each ? in it stands for arg.
func (l *listing) where(condition string, arg any) {
	l.args = append(l.args, arg)
	l.conditions = append(l.conditions, strings.ReplaceAll(condition, "?", fmt.Sprintf("$%d", len(l.args))))
}

func (l *listing) statement() (sql string, args []any) {
	sql = "select " + l.columns
	if len(l.conditions) > 0 {
		sql += " where " + strings.Join(l.conditions, " and ")
	}
	args = append(slices.Clone(l.args), l.size+1)
	return fmt.Sprintf("%s order by %s desc limit $%d", sql, l.position, len(args)), args
}

// cut leaves a page of what a listing has read, and says whether there is more.
func cut[T any](l *listing, read []T) ([]T, bool) {
	return read[:min(len(read), l.size)], len(read) > l.size
}
