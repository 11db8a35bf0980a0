package graphqlapi

import (
	"context"
	"unicode/utf8"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
)

const (
	maxBy = 100 // characters of the name of who wishes
	// wishCost is what a mutation takes of a request's budget: it reads a stream and
	// may write to it.
	wishCost = 1_000
)

// mayWrite is asked before every mutation: it refuses what came by GET, which any
// page may have sent, and says who is behind the wish: by a token, as no name of a
// person goes into the log.
func (q *query) mayWrite(ctx context.Context, by *string) (commands.Origin, error) {
	name := text(by)
	switch {
	case !ledgerOf(ctx).mayWrite:
		return commands.Origin{}, &domain.Error{Kind: domain.Invalid, Rule: "mutation.method",
			Msg: "mutations come by POST", MsgZH: "变更操作只能通过 POST 提交"}
	case q.commands == nil:
		return commands.Origin{}, &domain.Error{Kind: domain.Refused, Rule: "mutation.read_only",
			Msg: "this server answers questions only", MsgZH: "该服务仅提供查询"}
	case !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxBy:
		return commands.Origin{}, &domain.Error{Kind: domain.Invalid, Rule: "by.invalid",
			Msg: "by is a name of at most 100 characters", MsgZH: "by 应为不超过 100 个字符的名称"}
	}
	ledgerOf(ctx).wish()
	if err := ledgerOf(ctx).spend(wishCost); err != nil {
		return commands.Origin{}, err
	}
	token, err := q.commands.Pseudonym(ctx, name)
	if token == "" {
		token = "operator"
	}
	return commands.Origin{Actor: token}, err
}
