package graphqlapi

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/factgate/factgate/domain/task"
)

// Long is the schema's scalar Long. It only goes out.
type Long int64

// ImplementsGraphQLType implements decode.Unmarshaler.
func (Long) ImplementsGraphQLType(name string) bool { return name == "Long" }

// UnmarshalGraphQL implements decode.Unmarshaler.
func (*Long) UnmarshalGraphQL(any) error { return errors.New("a Long is never an argument") }

// JSON is the schema's scalar JSON. It only goes out.
type JSON []byte

// ImplementsGraphQLType implements decode.Unmarshaler.
func (JSON) ImplementsGraphQLType(name string) bool { return name == "JSON" }

// UnmarshalGraphQL implements decode.Unmarshaler.
func (*JSON) UnmarshalGraphQL(any) error { return errors.New("a JSON is never an argument") }

// MarshalJSON gives JSON as it is, and anything else as a string: a stream holds
// what its writers wrote.
func (j JSON) MarshalJSON() ([]byte, error) {
	if json.Valid(j) {
		return j, nil
	}
	return json.Marshal(string(j))
}

func instant(t *time.Time) *graphql.Time {
	if t == nil {
		return nil
	}
	return &graphql.Time{Time: t.UTC()}
}

// small puts a number into GraphQL's Int, which has 32 bits.
func small[N int | int64 | uint64](n N) int32 {
	if n > math.MaxInt32 {
		return math.MaxInt32
	}
	return int32(max(n, 0)) // nothing that is counted here is below nothing
}

// known is null for 0, which stands for unknown.
func known(n int) *int32 {
	if n == 0 {
		return nil
	}
	v := small(n)
	return &v
}

// given is null for the empty string.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// oneOf is null for what is not among the words of the schema: a stream holds what
// its writers wrote.
func oneOf[S ~string](s *S, words ...S) *string {
	if s == nil || !slices.Contains(words, *s) {
		return nil
	}
	return given(string(*s))
}

// status of a verdict; one that this version does not know is not taken for good.
func status(s task.Status) string {
	switch s {
	case task.Success, task.PartialSuccess:
		return string(s)
	}
	return string(task.Failed)
}

// list is never null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
