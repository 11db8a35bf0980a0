package node

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"
)

const (
	configStream     = "$persistentSubscriptionConfig"
	configType       = "$PersistentConfig"
	checkpointType   = "$SubscriptionCheckpoint"
	configVersion    = "2"
	keptCheckpoints  = 2
	keptConfigs      = 2
	maxGroups        = 2000
	maxGroupName     = 256
	maxConsumerSlots = 4096 // messages in flight to one consumer, whatever it asks for
	maxVerdicts      = 10_000

	startFromStart = "C:0/P:0"
	startFromEnd   = "C:-1/P:-1"
)

// groupKey names a group: groups of different streams may have the same name.
type groupKey struct{ stream, group string }

func (k groupKey) String() string { return k.stream + "::" + k.group }

func (k groupKey) progress() string { return groupsPrefix + k.String() + progressSuffix }

func (k groupKey) parked() string { return groupsPrefix + k.String() + parkedSuffix }

// streams are those that come and go with the group, and their metadata with them.
func (k groupKey) streams() []string {
	return []string{k.progress(), k.parked()}
}

// groupConfig is a persistent subscription as it was created or last changed. Its
// JSON is stored.
type groupConfig struct {
	Stream             string     `json:"stream"`
	Group              string     `json:"group"`
	Filter             filterSpec `json:"filter"`
	StartFrom          string     `json:"startFrom"`       // as it was asked for
	Begin              *uint64    `json:"begin,omitempty"` // the place in the source where it starts; absent: where the source ended at this event
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

func (c *groupConfig) key() groupKey { return groupKey{c.Stream, c.Group} }

func (c *groupConfig) messageTimeout() time.Duration {
	return time.Duration(c.MessageTimeoutMs) * time.Millisecond
}

func (c *groupConfig) checkpointAfter() time.Duration {
	return time.Duration(c.CheckpointAfterMs) * time.Millisecond
}

// groupSettings is what requests to create and to change a group have in common.
type groupSettings interface {
	GetResolveLinks() bool
	GetExtraStatistics() bool
	GetMaxRetryCount() int32
	GetMinCheckpointCount() int32
	GetMaxCheckpointCount() int32
	GetMaxSubscriberCount() int32
	GetLiveBufferSize() int32
	GetReadBatchSize() int32
	GetHistoryBufferSize() int32
	GetMessageTimeoutMs() int32
	GetMessageTimeoutTicks() int64
	GetCheckpointAfterMs() int32
	GetCheckpointAfterTicks() int64
}

// createConfig reads a request to create a group. upto is how far the log goes. What
// it returns has a key also when there is an error.
func createConfig(o *persistent.CreateReq_Options, upto uint64) (groupConfig, error) {
	s := o.GetSettings()
	strategy := s.GetConsumerStrategy()
	if strategy == "" {
		strategy = s.GetNamedConsumerStrategy().String()
	}
	c := settingsOf(s, strategy)
	c.Group = o.GetGroupName()
	var err error
	switch what := o.GetStreamOption().(type) {
	case *persistent.CreateReq_Options_All:
		c.Stream = allStream
		if c.Filter, err = groupFilter(what.All); err != nil {
			return c, err
		}
		err = c.start(what.All.GetAllOption(), upto)
	case *persistent.CreateReq_Options_Stream:
		err = c.startStream(what.Stream.GetStreamIdentifier(), what.Stream.GetRevisionOption())
	default: // from a client that knows no groups on $all
		err = c.startStream(o.GetStreamIdentifier(), &persistent.CreateReq_StreamOptions_Revision{Revision: s.GetRevision()})
	}
	if err != nil {
		return c, err
	}
	return c, c.check()
}

// updateConfig is createConfig for a request to change a group. There is no filter in
// it: the group keeps the one it has, which the caller fills in.
func updateConfig(o *persistent.UpdateReq_Options, upto uint64) (groupConfig, error) {
	s := o.GetSettings()
	c := settingsOf(s, s.GetNamedConsumerStrategy().String())
	c.Group = o.GetGroupName()
	var err error
	switch what := o.GetStreamOption().(type) {
	case *persistent.UpdateReq_Options_All:
		c.Stream = allStream
		err = c.start(what.All.GetAllOption(), upto)
	case *persistent.UpdateReq_Options_Stream:
		err = c.startStream(what.Stream.GetStreamIdentifier(), what.Stream.GetRevisionOption())
	default:
		err = c.startStream(o.GetStreamIdentifier(), &persistent.UpdateReq_StreamOptions_Revision{Revision: s.GetRevision()})
	}
	if err != nil {
		return c, err
	}
	return c, c.check()
}

func settingsOf(s groupSettings, strategy string) groupConfig {
	return groupConfig{
		ResolveLinks:       s.GetResolveLinks(),
		ExtraStatistics:    s.GetExtraStatistics(),
		MessageTimeoutMs:   int64(s.GetMessageTimeoutMs()) + s.GetMessageTimeoutTicks()/10_000, // one of them is there
		CheckpointAfterMs:  int64(s.GetCheckpointAfterMs()) + s.GetCheckpointAfterTicks()/10_000,
		MaxRetryCount:      s.GetMaxRetryCount(),
		MinCheckpointCount: s.GetMinCheckpointCount(),
		MaxCheckpointCount: s.GetMaxCheckpointCount(),
		MaxSubscribers:     s.GetMaxSubscriberCount(),
		LiveBufferSize:     s.GetLiveBufferSize(),
		HistoryBufferSize:  s.GetHistoryBufferSize(),
		ReadBatchSize:      s.GetReadBatchSize(),
		Strategy:           strategy,
	}
}

func (c *groupConfig) startStream(stream *shared.StreamIdentifier, option any) error {
	c.Stream = string(stream.GetStreamName())
	if c.Stream == allStream {
		return invalid("a group on $all is asked for as such and not by a stream's name")
	}
	return c.start(option, 0)
}

// start reads where a group starts. The event that is named there is delivered too.
func (c *groupConfig) start(option any, upto uint64) error {
	begin := func(place uint64, text string) { c.Begin, c.StartFrom = &place, text }
	position := func(commit, prepare uint64) error {
		switch {
		case commit == math.MaxUint64 && prepare == math.MaxUint64: // how some clients write "the end"
			c.StartFrom = startFromEnd
			return nil
		case prepare > commit:
			return invalid("a prepare position is not above its commit position")
		case commit > upto:
			return invalid(reasonPositionPastEnd, commit, prepare, upto, upto)
		}
		begin(max(commit, 1)-1, formatPosition(commit))
		return nil
	}
	revision := func(number uint64) error {
		switch {
		case number == math.MaxUint64:
			c.StartFrom = "-1"
			return nil
		case number > maxRevision:
			return invalid("no stream has a revision %d", number)
		}
		begin(number, strconv.FormatUint(number, 10))
		return nil
	}
	switch at := option.(type) {
	case *persistent.CreateReq_AllOptions_Start, *persistent.UpdateReq_AllOptions_Start:
		begin(0, startFromStart)
		return nil
	case *persistent.CreateReq_StreamOptions_Start, *persistent.UpdateReq_StreamOptions_Start:
		begin(0, "0")
		return nil
	case *persistent.CreateReq_AllOptions_End, *persistent.UpdateReq_AllOptions_End:
		return position(math.MaxUint64, math.MaxUint64)
	case *persistent.CreateReq_StreamOptions_End, *persistent.UpdateReq_StreamOptions_End:
		return revision(math.MaxUint64)
	case *persistent.CreateReq_AllOptions_Position:
		return position(at.Position.GetCommitPosition(), at.Position.GetPreparePosition())
	case *persistent.UpdateReq_AllOptions_Position:
		return position(at.Position.GetCommitPosition(), at.Position.GetPreparePosition())
	case *persistent.CreateReq_StreamOptions_Revision:
		return revision(at.Revision)
	case *persistent.UpdateReq_StreamOptions_Revision:
		return revision(at.Revision)
	default:
		return invalid("a persistent subscription says where it starts")
	}
}

func (c *groupConfig) check() error {
	switch {
	case c.Group == "" || len(c.Group) > maxGroupName || !utf8.ValidString(c.Group):
		return invalid("a group has a name of 1 to %d bytes", maxGroupName)
	case c.Stream == "" || len(c.Stream) > maxStreamName || !utf8.ValidString(c.Stream):
		return invalid("a group's stream has a name of 1 to %d bytes of UTF-8", maxStreamName)
	case newStrategy(c.Strategy) == nil:
		return invalid("there is no consumer strategy %q: use %s, %s, %s or %s", c.Strategy, strategyRoundRobin, strategySingle, strategyPinned, strategyCorrelation)
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
	case c.Begin != nil && *c.Begin > maxRevision:
		return invalid("a group starts at %d at most", uint64(maxRevision))
	}
	_, err := c.Filter.compile()
	return err
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

// loadConfig reads the groups there are, and the position at which a group starts
// whose settings do not say where.
func loadConfig(l *log, upto uint64) (groups []groupConfig, at uint64, err error) {
	last, err := l.last([]byte(configStream), upto)
	if err != nil || last == nil {
		return nil, 0, err
	}
	groups, err = decodeConfig(last.data)
	if err != nil {
		return nil, 0, fmt.Errorf("the persistent subscriptions' settings at position %d: %w", last.position, err)
	}
	return groups, last.position, nil
}

// decodeConfig reads what storeConfig wrote.
func decodeConfig(data []byte) ([]groupConfig, error) {
	var stored storedConfig
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, err
	}
	if stored.Version != configVersion {
		return nil, fmt.Errorf("they have version %q, this node reads %q: use the release that wrote them", stored.Version, configVersion)
	}
	known := map[string]bool{}
	for i := range stored.Entries {
		c := &stored.Entries[i]
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("group %q: %w", c.key(), err)
		}
		if known[c.key().String()] {
			return nil, fmt.Errorf("group %q is there twice", c.key())
		}
		known[c.key().String()] = true
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
	if len(data) > maxStoredSize {
		return 0, invalid("the settings of all persistent subscriptions have at most %d bytes together: delete groups that nobody uses", maxStoredSize)
	}
	res := c.append(ctx, systemAppend(configStream, configType, data, func(r *appendRequest) {
		r.keep, r.remove = keptConfigs, remove
	}))
	return res.head.position, res.err
}

// systemAppend is an append of one event by the node itself.
func systemAppend(stream, eventType string, data []byte, more func(*appendRequest)) *appendRequest {
	id := uuid.New()
	req := &appendRequest{
		stream:   stream,
		expected: expected{kind: expectAny},
		events:   []proposal{{id, encodeRecord(id, stream, eventType, true, nil, data)}},
	}
	if more != nil {
		more(req)
	}
	return req
}

// loadCheckpoint reads how far a group has come.
func loadCheckpoint(l *log, key groupKey, src source, upto uint64) (place uint64, found bool, err error) {
	last, err := l.last([]byte(key.progress()), upto)
	if err != nil || last == nil {
		return 0, false, err
	}
	if place, err = decodeCheckpoint(last.data, src); err != nil {
		return 0, false, fmt.Errorf("the checkpoint of group %q at position %d cannot be read: %w", key, last.position, err)
	}
	return place, true, nil
}

// decodeCheckpoint reads what checkpointRequest wrote.
func decodeCheckpoint(data []byte, src source) (place uint64, err error) {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return 0, err
	}
	return src.parse(text)
}

func checkpointRequest(key groupKey, text string) (*appendRequest, error) {
	data, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	return systemAppend(key.progress(), checkpointType, data, func(r *appendRequest) { r.keep = keptCheckpoints }), nil
}
