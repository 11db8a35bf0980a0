package graphqlapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain/person"
)

// The fields that say who: facts and tables hold tokens, and names are put in here
// and nowhere else.

// UploadedBy says who.
func (r *taskResolver) UploadedBy(ctx context.Context) string { return who(ctx, r.t.UploadedBy) }

// UploadedByKey tells the uploader apart from others.
func (r *taskResolver) UploadedByKey() *string { return keyOf(r.t.UploadedBy) }

// Actor says who.
func (r *factResolver) Actor(ctx context.Context) *string { return given(who(ctx, r.f.Actor)) }

// By says who.
func (r *ruleSetVersion) By(ctx context.Context) *string { return given(who(ctx, r.v.By)) }

// By says who began to build it.
func (r *readModelResolver) By(ctx context.Context) string { return who(ctx, r.m.By) }

// By says who.
func (r *scannerConfiguration) By(ctx context.Context) *string { return given(who(ctx, r.c.By)) }

// By says who, or where it is written.
func (r *suppressionResolver) By(ctx context.Context) *string { return given(who(ctx, r.s.By)) }

// By says who.
func (r *appliedConfiguration) By(ctx context.Context) *string { return given(who(ctx, r.c.By)) }

// By says who.
func (r *waiverResolver) By(ctx context.Context) *string { return given(who(ctx, r.w.By)) }

// By says who.
func (r *skippedResolver) By(ctx context.Context) string { return who(ctx, r.s.By) }

// By says who.
func (r *retirementResolver) By(ctx context.Context) *string { return given(who(ctx, r.r.By)) }

// SettledBy says who.
func (r *deadLetterResolver) SettledBy(ctx context.Context) *string {
	return given(who(ctx, r.d.SettledBy))
}

// who is a person or a process in words.
func who(ctx context.Context, text string) string {
	ledger := ledgerOf(ctx)
	name, state := text, commands.Named
	if ledger.people != nil {
		name, state = ledger.people.NameOf(ctx, text)
	} else if t, ok := person.ParseToken(text); ok {
		name, state = t.KeyID.Short(), commands.Unnamed
	}
	switch {
	case state != commands.Erased:
		return name
	case ledger.zh:
		return "已删除 " + name
	}
	return "erased " + name
}

func keyOf(text string) *string {
	t, ok := person.ParseToken(text)
	if !ok {
		return nil
	}
	return given(string(t.KeyID))
}

// prefersChinese reports whether the client would rather read Chinese.
func prefersChinese(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(first)), "zh")
}

// ErasePerson forgets a name.
func (q *query) ErasePerson(ctx context.Context, args struct {
	Name, Reason string
	By           *string
}) (*personErasure, error) {
	by, err := q.mayWrite(ctx, args.By)
	if err != nil {
		return nil, err
	}
	done, err := q.commands.ErasePerson(ctx, args.Name, args.Reason, by.Actor)
	if err != nil {
		return nil, err
	}
	return &personErasure{done}, nil
}

type personErasure struct{ done commands.PersonErased }

func (r *personErasure) Changed() bool         { return r.done.Changed }
func (r *personErasure) ClearText() *clearText { return &clearText{r.done.Clear} }

func (r *personErasure) Keys() []string {
	out := make([]string, len(r.done.KeyIDs))
	for i, id := range r.done.KeyIDs {
		out[i] = string(id)
	}
	return out
}

type clearText struct{ found commands.ClearText }

func (r *clearText) Facts() Long    { return Long(r.found.Facts) }
func (r *clearText) Streams() Long  { return Long(r.found.Streams) }
func (r *clearText) Complete() bool { return r.found.Complete }
