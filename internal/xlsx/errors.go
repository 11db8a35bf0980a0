package xlsx

import (
	"errors"
	"fmt"

	"github.com/factgate/factgate/internal/zippkg"
)

// Fault says in which way a workbook cannot be read.
type Fault int

const (
	// Corrupt: damaged, or no workbook at all.
	Corrupt Fault = iota
	// Encrypted: it needs a password.
	Encrypted
	// Legacy: a format other than .xlsx under its name, such as Excel 97-2003.
	Legacy
	// Limit: readable perhaps, but over one of the [Limits].
	Limit
)

// Error is why a workbook cannot be read. It always is the workbook's fault:
// reading it again gives the same answer. The messages are half sentences that
// stand after "the workbook cannot be read:".
type Error struct {
	Fault     Fault
	Message   string
	MessageZH string
}

func (e *Error) Error() string { return "workbook: " + e.Message }

func corrupt(en, zh string) *Error { return &Error{Corrupt, en, zh} }

func over(en, zh string) *Error { return &Error{Limit, en, zh} }

// inPart says in which part of the workbook something is wrong.
func inPart(name string, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Fault == Encrypted {
		return err
	}
	name = clip(name)
	return &Error{e.Fault, fmt.Sprintf("part %q: %s", name, e.Message), fmt.Sprintf("部件“%s”：%s", name, e.MessageZH)}
}

// ofZip says in a workbook's words what zippkg refuses. Other errors are about
// the source and pass.
func ofZip(err error) error {
	var refused *zippkg.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Code {
	case zippkg.CodeEncrypted:
		return &Error{Encrypted, "it needs a password", "需要密码"}
	case zippkg.CodeTooManyEntries:
		return over("it has too many parts", "部件过多")
	case zippkg.CodeTooLarge, zippkg.CodeFileTooLarge, zippkg.CodeUnpackedTooLarge, zippkg.CodeBomb:
		return over("it is too large", "文件过大")
	case zippkg.CodeNotAZip:
		return corrupt("not an .xlsx file", "不是 .xlsx 文件")
	case zippkg.CodeDuplicateName:
		return corrupt(fmt.Sprintf("two parts are called %q", clip(refused.Path)), fmt.Sprintf("两个部件同名“%s”", clip(refused.Path)))
	case zippkg.CodeDamaged:
		return corrupt("it is cut off or its bytes have changed", "文件被截断或内容已改变")
	default:
		return corrupt(fmt.Sprintf("its zip is no workbook's (%s)", refused.Code), fmt.Sprintf("其压缩结构不符合工作簿格式（%s）", refused.Code))
	}
}

// clip keeps what a workbook says short enough to be quoted in a message.
func clip(s string) string {
	const most = 80
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
