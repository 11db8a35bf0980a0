package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/google/uuid"
)

const (
	configStream     = "$persistentSubscriptionConfig"
	configType       = "$PersistentConfig"
	checkpointType   = "$SubscriptionCheckpoint"
	configVersion    = "2"
	keptCheckpoints  = 2
	maxGroupName     = 256
	maxConsumerSlots = 4096 // messages in flight to one consumer, whatever it asks for

	strategyRoundRobin = "RoundRobin"
	strategySingle     = "DispatchToSingle"

	startFromStart = "C:0/P:0"
	startFromEnd   = "C:-1/P:-1"
)

// groupConfig is a persistent subscription as it was created. Its JSON is stored.
type groupConfig struct {
	Stream             string     `json:"stream"`
	Group              string     `json:"group"`
	Filter             filterSpec `json:"filter"`
	StartFrom          string     `json:"startFrom"`       // as it was asked for
	Begin              *uint64    `json:"begin,omitempty"` // deliver what is behind this position; absent: behind this event
	ResolveLinks       bool       `json:"resolveLinkTos,omitempty"`
	ExtraStatistics    bool       `json:"extraStatistics,omitempty"`
	MessageTimeoutMs   int64      `json:"messageTimeout"` // 0: none
	MaxRetryCount      int32      `json:"maxRetryCount"`
	MinCheckpointCount int32      `json:"minCheckpointCount"`
	MaxCheckpointCount int32      `json:"maxCheckpointCount"`
	CheckpointAfterMs  int64      `json:"checkpointAfter"`
	MaxSubscribers     int32      `json:"maxSubscriberCount"` // 0: any number
	LiveBufferSize     int32      `json:"liveBufferSize"`
	HistoryBufferSize  int32      `json:"bufferSize"`
	ReadBatchSize      int32      `json:"readBatchSize"`
	Strategy           string     `json:"namedConsumerStrategy"`
}

func (c *groupConfig) messageTimeout() time.Duration {
	return time.Duration(c.MessageTimeoutMs) * time.Millisecond
}

func (c *groupConfig) checkpointAfter() time.Duration {
	return time.Duration(c.CheckpointAfterMs) * time.Millisecond
}

// readGroupConfig checks a request to create a group. Its errors are gRPC statuses.
func readGroupConfig(o *persistent.CreateReq_Options) (groupConfig, *filter, error) {
	refuse := func(err error) (groupConfig, *filter, error) { return groupConfig{}, nil, err }
	all, ok := o.GetStreamOption().(*persistent.CreateReq_Options_All)
	if !ok {
		return refuse(unimplemented("persistent subscriptions to a single stream"))
	}
	if err := checkGroupName(o.GetGroupName()); err != nil {
		return refuse(err)
	}
	spec, err := groupFilter(all.All)
	if err != nil {
		return refuse(err)
	}
	f, err := spec.compile()
	if err != nil {
		return refuse(err)
	}
	s := o.GetSettings()
	c := groupConfig{
		Stream:             allStream,
		Group:              o.GetGroupName(),
		Filter:             spec,
		ResolveLinks:       s.GetResolveLinks(),
		ExtraStatistics:    s.GetExtraStatistics(),
		MaxRetryCount:      s.GetMaxRetryCount(),
		MinCheckpointCount: s.GetMinCheckpointCount(),
		MaxCheckpointCount: s.GetMaxCheckpointCount(),
		MaxSubscribers:     s.GetMaxSubscriberCount(),
		LiveBufferSize:     s.GetLiveBufferSize(),
		HistoryBufferSize:  s.GetHistoryBufferSize(),
		ReadBatchSize:      s.GetReadBatchSize(),
		Strategy:           s.GetConsumerStrategy(),
	}
	if t, ok := s.GetMessageTimeout().(*persistent.CreateReq_Settings_MessageTimeoutTicks); ok {
		c.MessageTimeoutMs = t.MessageTimeoutTicks / 10_000
	} else {
		c.MessageTimeoutMs = int64(s.GetMessageTimeoutMs())
	}
	if t, ok := s.GetCheckpointAfter().(*persistent.CreateReq_Settings_CheckpointAfterTicks); ok {
		c.CheckpointAfterMs = t.CheckpointAfterTicks / 10_000
	} else {
		c.CheckpointAfterMs = int64(s.GetCheckpointAfterMs())
	}
	if c.Strategy == "" {
		c.Strategy = s.GetNamedConsumerStrategy().String()
	}
	switch at := all.All.GetAllOption().(type) {
	case *persistent.CreateReq_AllOptions_Start:
		c.StartFrom, c.Begin = startFromStart, new(uint64)
	case *persistent.CreateReq_AllOptions_End:
		c.StartFrom = startFromEnd
	case *persistent.CreateReq_AllOptions_Position:
		// The event at the position is delivered too.
		commit := at.Position.GetCommitPosition()
		if commit > math.MaxInt64 {
			return refuse(invalid("there is no position %d", commit))
		}
		begin := max(commit, 1) - 1
		c.StartFrom, c.Begin = formatPosition(commit), &begin
	default:
		return refuse(invalid("a persistent subscription says where it starts"))
	}
	return c, f, c.check()
}

func checkGroupName(name string) error {
	if name == "" || len(name) > maxGroupName {
		return invalid("a group has a name of 1 to %d bytes", maxGroupName)
	}
	return nil
}

func (c *groupConfig) check() error {
	switch {
	case c.Strategy != strategyRoundRobin && c.Strategy != strategySingle:
		return unimplemented(fmt.Sprintf("the consumer strategy %q: use %s or %s", c.Strategy, strategyRoundRobin, strategySingle))
	case c.MessageTimeoutMs < 0, c.CheckpointAfterMs < 0, c.MaxRetryCount < 0, c.MaxSubscribers < 0:
		return invalid("message time-out, checkpoint time, retry count and subscriber count are not negative")
	case c.MessageTimeoutMs > math.MaxInt32, c.CheckpointAfterMs > math.MaxInt32:
		return invalid("message time-out and checkpoint time are at most %d ms", math.MaxInt32)
	case c.MinCheckpointCount < 0, c.MaxCheckpointCount < 1, c.MinCheckpointCount > c.MaxCheckpointCount:
		return invalid("the checkpoint counts are 0 <= minimum <= maximum and the maximum is at least 1")
	case c.ReadBatchSize < 1, c.ReadBatchSize >= c.HistoryBufferSize:
		return invalid("the read batch size is at least 1 and below the history buffer size")
	case c.LiveBufferSize < 0:
		return invalid("the live buffer size is not negative")
	}
	return nil
}

func formatPosition(position uint64) string {
	return fmt.Sprintf("C:%d/P:%d", position, position)
}

func parsePosition(text string) (uint64, error) {
	var commit, prepare uint64
	if _, err := fmt.Sscanf(text, "C:%d/P:%d", &commit, &prepare); err != nil || formatPosition(commit) != text {
		return 0, fmt.Errorf("%q is not a position", text)
	}
	return commit, nil
}

// storedConfig is the data of a $PersistentConfig event: all groups there are.
type storedConfig struct {
	Version string        `json:"version"`
	Entries []groupConfig `json:"entries"`
}

// loadConfig reads the groups there are.
func loadConfig(l *log, upto uint64) ([]groupConfig, error) {
	last, err := l.last([]byte(configStream), upto)
	if err != nil || last == nil {
		return nil, err
	}
	var stored storedConfig
	if err := json.Unmarshal(last.data, &stored); err != nil {
		return nil, fmt.Errorf("the persistent subscriptions' settings at position %d: %w", last.position, err)
	}
	if stored.Version != configVersion {
		return nil, fmt.Errorf("the persistent subscriptions' settings at position %d have version %q, this node reads %q: use the release that wrote them", last.position, stored.Version, configVersion)
	}
	for i := range stored.Entries {
		if stored.Entries[i].Begin == nil {
			stored.Entries[i].Begin = &last.position
		}
	}
	return stored.Entries, nil
}

// storeConfig makes a set of groups durable and returns where. The streams of a
// group that comes or goes vanish in the same moment.
func storeConfig(ctx context.Context, c *committer, entries []groupConfig, remove ...string) (uint64, error) {
	data, err := json.Marshal(storedConfig{Version: configVersion, Entries: entries})
	if err != nil {
		return 0, err
	}
	res := c.append(ctx, systemAppend(configStream, configType, true, nil, data, func(r *appendRequest) { r.remove = remove }))
	return res.head.position, res.err
}

// systemAppend is an append of one event by the node itself.
func systemAppend(stream, eventType string, isJSON bool, metadata, data []byte, more func(*appendRequest)) *appendRequest {
	id := uuid.New()
	req := &appendRequest{
		stream:   stream,
		expected: expected{kind: expectAny},
		events:   []proposal{{id, encodeRecord(id, stream, eventType, isJSON, metadata, data)}},
	}
	if more != nil {
		more(req)
	}
	return req
}

// loadCheckpoint reads how far a group has come.
func loadCheckpoint(l *log, group string, upto uint64) (position uint64, found bool, err error) {
	last, err := l.last([]byte(progressStream(group)), upto)
	if err != nil || last == nil {
		return 0, false, err
	}
	var text string
	if err := json.Unmarshal(last.data, &text); err == nil {
		position, err = parsePosition(text)
		if err == nil {
			return position, true, nil
		}
	}
	return 0, false, fmt.Errorf("the checkpoint of group %q at position %d cannot be read", group, last.position)
}

func checkpointRequest(group string, position uint64) (*appendRequest, error) {
	data, err := json.Marshal(formatPosition(position))
	if err != nil {
		return nil, err
	}
	return systemAppend(progressStream(group), checkpointType, true, nil, data, func(r *appendRequest) { r.keep = keptCheckpoints }), nil
}

// parkedMetadata is the metadata of a parked message's link.
type parkedMetadata struct {
	Added                   time.Time `json:"added"`
	Reason                  string    `json:"reason"`
	SubscriptionEventNumber uint64    `json:"subscriptionEventNumber"`
}

// parkRequest links a message that a group gave up on.
func parkRequest(group string, m resolved, reason string, now time.Time) (*appendRequest, error) {
	target := m.event
	var data []byte
	if target == nil { // a broken link: its target is all there is
		data = m.link.data
	} else {
		data = fmt.Appendf(nil, "%d@%s", target.revision, target.stream)
	}
	metadata, err := json.Marshal(parkedMetadata{now.UTC(), reason, m.original().revision})
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, errors.New("there is nothing to link to")
	}
	return systemAppend(parkedStream(group), linkType, false, metadata, data, nil), nil
}
