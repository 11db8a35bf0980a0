package node

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	maxFilterRegex    = 4 << 10
	maxFilterPrefixes = 1000
	maxFilterBytes    = 64 << 10
	defaultWindow     = 32 // events, where the client leaves the window open

	groupsPrefix    = "$persistentsubscription-"
	allGroupsPrefix = groupsPrefix + allStream + "::"
	parkedSuffix    = "-parked"
	progressSuffix  = "-checkpoint"
	epochStream     = "$epoch-information"
)

// hidden says that a stream's events are bookkeeping that $all does not show.
func hidden(stream []byte) bool {
	if len(stream) == 0 || stream[0] != '$' {
		return false
	}
	rest, group := bytes.CutPrefix(stream, []byte(allGroupsPrefix))
	if group {
		return bytes.HasSuffix(rest, []byte(parkedSuffix)) || bytes.HasSuffix(rest, []byte(progressSuffix))
	}
	return string(stream) == epochStream
}

// filterSpec is a filter as it is asked for and stored. The zero value lets
// everything pass.
type filterSpec struct {
	On       string   `json:"on,omitempty"` // filterOnStream or filterOnType
	Prefixes []string `json:"prefixes,omitempty"`
	Regex    string   `json:"regex,omitempty"`
}

const (
	filterOnStream = "stream"
	filterOnType   = "eventType"
)

// filter decides which events of $all a reader wants. A nil filter wants them all.
type filter struct {
	onStream bool
	prefixes [][]byte
	regex    *regexp.Regexp // unanchored
}

func (f *filter) matches(r *record) bool {
	if f == nil {
		return true
	}
	subject := r.eventType
	if f.onStream {
		subject = r.stream
	}
	if f.regex != nil {
		return f.regex.Match(subject)
	}
	for _, prefix := range f.prefixes {
		if bytes.HasPrefix(subject, prefix) {
			return true
		}
	}
	return false
}

// compile checks a filter against the node's limits. Its errors are gRPC statuses.
func (s filterSpec) compile() (*filter, error) {
	if s.On == "" {
		return nil, nil
	}
	f := &filter{onStream: s.On == filterOnStream}
	switch {
	case s.On != filterOnStream && s.On != filterOnType:
		return nil, invalid("a filter is on the stream name or on the event type, not on %q", s.On)
	case (s.Regex == "") == (len(s.Prefixes) == 0):
		return nil, invalid("a filter needs either a regular expression or prefixes")
	case len(s.Regex) > maxFilterRegex:
		return nil, invalid("a filter's regular expression has at most %d bytes, this one has %d", maxFilterRegex, len(s.Regex))
	case len(s.Prefixes) > maxFilterPrefixes:
		return nil, invalid("a filter has at most %d prefixes, this one has %d", maxFilterPrefixes, len(s.Prefixes))
	}
	if s.Regex != "" {
		regex, err := regexp.Compile(s.Regex)
		if err != nil {
			return nil, invalid("the filter's regular expression is not one of RE2, which has no look-around and no back-references: %v", err)
		}
		f.regex = regex
		return f, nil
	}
	size := 0
	for _, prefix := range s.Prefixes {
		if size += len(prefix); size > maxFilterBytes {
			return nil, invalid("a filter's prefixes have at most %d bytes together", maxFilterBytes)
		}
		f.prefixes = append(f.prefixes, []byte(prefix))
	}
	return f, nil
}

func invalid(format string, args ...any) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf(format, args...))
}

type expression interface {
	GetRegex() string
	GetPrefix() []string
}

func specOf(on string, e expression) filterSpec {
	return filterSpec{On: on, Regex: e.GetRegex(), Prefixes: e.GetPrefix()}
}

// readFilter reads the filter of a read or a subscription. interval is how many
// events a filtered subscription considers from one checkpoint to the next.
func readFilter(o *streams.ReadReq_Options) (f *filter, interval uint64, err error) {
	wanted := o.GetFilter()
	if wanted == nil {
		return nil, 0, nil
	}
	var spec filterSpec
	switch on := wanted.GetFilter().(type) {
	case *streams.ReadReq_Options_FilterOptions_StreamIdentifier:
		spec = specOf(filterOnStream, on.StreamIdentifier)
	case *streams.ReadReq_Options_FilterOptions_EventType:
		spec = specOf(filterOnType, on.EventType)
	default:
		return nil, 0, invalid("a filter says whether it is on the stream name or on the event type")
	}
	if f, err = spec.compile(); err != nil {
		return nil, 0, err
	}
	window := uint64(defaultWindow)
	if max, ok := wanted.GetWindow().(*streams.ReadReq_Options_FilterOptions_Max); ok {
		window = uint64(max.Max)
	}
	return f, window * uint64(wanted.GetCheckpointIntervalMultiplier()), nil
}

// groupFilter reads the filter of a persistent subscription. Its window and its
// checkpoint interval mean nothing: a group's checkpoints follow its settings.
func groupFilter(o *persistent.CreateReq_AllOptions) (filterSpec, error) {
	wanted := o.GetFilter()
	if wanted == nil {
		return filterSpec{}, nil
	}
	switch on := wanted.GetFilter().(type) {
	case *persistent.CreateReq_AllOptions_FilterOptions_StreamIdentifier:
		return specOf(filterOnStream, on.StreamIdentifier), nil
	case *persistent.CreateReq_AllOptions_FilterOptions_EventType:
		return specOf(filterOnType, on.EventType), nil
	default:
		return filterSpec{}, invalid("a filter says whether it is on the stream name or on the event type")
	}
}

// bookkeeping says that a stream is the node's own, or describes one that is. The
// node could not go on with what others may write there, or without what they may
// delete.
func bookkeeping(stream string) bool {
	stream = tombstoneOf(stream)
	rest, group := strings.CutPrefix(stream, groupsPrefix)
	return stream == configStream || stream == epochStream ||
		group && (strings.HasSuffix(rest, parkedSuffix) || strings.HasSuffix(rest, progressSuffix))
}

// parseLink reads the target of a link event: revision@stream.
func parseLink(data []byte) (stream []byte, revision uint64, ok bool) {
	number, name, found := strings.Cut(string(data), "@")
	if !found || name == "" || len(number) == 0 || len(number) > 19 {
		return nil, 0, false
	}
	for _, c := range []byte(number) {
		if c < '0' || c > '9' {
			return nil, 0, false
		}
		revision = revision*10 + uint64(c-'0')
	}
	return []byte(name), revision, revision <= maxRevision
}
