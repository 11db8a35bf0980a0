package node

import (
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestFilterLimits(t *testing.T) {
	for name, spec := range map[string]filterSpec{
		"neither":       {On: filterOnType},
		"both":          {On: filterOnType, Regex: "a", Prefixes: []string{"a"}},
		"unknown":       {On: "data", Regex: "a"},
		"look-around":   {On: filterOnType, Regex: "(?!a)"},
		"broken":        {On: filterOnType, Regex: "("},
		"long regex":    {On: filterOnType, Regex: strings.Repeat("a", maxFilterRegex+1)},
		"many prefixes": {On: filterOnType, Prefixes: make([]string, maxFilterPrefixes+1)},
		"long prefixes": {On: filterOnType, Prefixes: []string{strings.Repeat("a", maxFilterBytes+1)}},
	} {
		_, err := spec.compile()
		require.Equal(t, codes.InvalidArgument, status.Code(err), name)
	}
	f, err := filterSpec{}.compile()
	require.NoError(t, err)
	require.True(t, f.matches(&record{}))
}

func TestHidden(t *testing.T) {
	for stream, expected := range map[string]bool{
		"$persistentsubscription-$all::g-parked":     true,
		"$persistentsubscription-$all::g-checkpoint": true,
		"$epoch-information":                         true,
		"$persistentsubscription-$all::g":            false,
		"$persistentsubscription-s::g-checkpoint":    false,
		"$persistentSubscriptionConfig":              false,
		"x-parked":                                   false,
		"":                                           false,
	} {
		require.Equal(t, expected, hidden([]byte(stream)), stream)
	}
}

func FuzzFilterRequest(f *testing.F) {
	for _, o := range []*streams.ReadReq_Options{
		{},
		{FilterOption: &streams.ReadReq_Options_Filter{}},
		{FilterOption: &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
			Filter: &streams.ReadReq_Options_FilterOptions_EventType{EventType: &streams.ReadReq_Options_FilterOptions_Expression{Prefix: []string{"a", ""}}},
			Window: &streams.ReadReq_Options_FilterOptions_Max{Max: 1<<32 - 1}, CheckpointIntervalMultiplier: 1<<32 - 1}}},
		{FilterOption: &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
			Filter: &streams.ReadReq_Options_FilterOptions_StreamIdentifier{StreamIdentifier: &streams.ReadReq_Options_FilterOptions_Expression{Regex: "^[^\\$].*"}},
		}}},
	} {
		b, err := proto.Marshal(o)
		require.NoError(f, err)
		f.Add(b, []byte("task-1"))
	}
	f.Fuzz(func(t *testing.T, request, name []byte) {
		var o streams.ReadReq_Options
		if proto.Unmarshal(request, &o) != nil {
			return
		}
		filter, _, err := readFilter(&o)
		if err != nil {
			if status.Code(err) != codes.InvalidArgument {
				t.Fatalf("a wrong request is INVALID_ARGUMENT, this was %v", err)
			}
			return
		}
		if filter == nil && o.GetFilter() != nil {
			t.Fatal("a filter was dropped")
		}
		filter.matches(&record{stream: name, eventType: name})
	})
}

func FuzzParseLink(f *testing.F) {
	for _, seed := range []string{"0@s", "12@a@b", "@", "9223372036854775807@s", "9223372036854775808@s", "99999999999999999999@s", "-1@s"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		stream, revision, ok := parseLink(data)
		if ok && (len(stream) == 0 || revision > maxRevision) {
			t.Fatalf("%q became %d@%q", data, revision, stream)
		}
	})
}

func TestParsePosition(t *testing.T) {
	position, err := parsePosition(formatPosition(77))
	require.NoError(t, err)
	require.EqualValues(t, 77, position)
	for _, wrong := range []string{"", "C:1", "C:1/P:2", "C:1/P:1 ", "C:-1/P:-1", "C:01/P:01"} {
		_, err := parsePosition(wrong)
		require.Error(t, err, wrong)
	}
}
