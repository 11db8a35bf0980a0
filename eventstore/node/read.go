package node

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/mem"
)

const (
	pageEvents  = 256       // events collected before they are sent
	pageBytes   = 512 << 10 // and their size
	pageScanned = 4096      // records looked at before the caller's context is
)

// reader serves one Read call.
type reader struct {
	ctx          context.Context
	log          *log
	horizon      *horizon
	send         func(*streams.ReadResp) error
	sendEncoded  func(any) error // a mem.Buffer
	uuidAsString bool
	followLinks  bool
}

// Read serves finite reads and catch-up subscriptions.
func (s *streamsService) Read(req *streams.ReadReq, stream streams.Streams_ReadServer) error {
	o := req.GetOptions()
	ctx, cancel, err := s.node.callContext(stream.Context())
	if err != nil {
		return err
	}
	defer cancel()
	_, asString := o.GetUuidOption().GetContent().(*streams.ReadReq_Options_UUIDOption_String_)
	r := &reader{
		ctx:          ctx,
		log:          s.node.log,
		horizon:      s.node.committer.horizon,
		send:         stream.Send,
		sendEncoded:  stream.SendMsg,
		uuidAsString: asString,
		followLinks:  o.GetResolveLinks(),
	}
	switch count := o.GetCountOption().(type) {
	case *streams.ReadReq_Options_Count:
		return toStatus(r.read(o, count.Count))
	case *streams.ReadReq_Options_Subscription:
		s.node.subscriptions.Add(1)
		defer s.node.subscriptions.Add(-1)
		return toStatus(r.subscribe(o))
	default:
		return invalid("a read has a count or is a subscription")
	}
}

// read serves a finite read. It shows the log as it was when the read began.
func (r *reader) read(o *streams.ReadReq_Options, count uint64) error {
	upto := r.horizon.durable()
	tellEnds := o.GetControlOption().GetCompatibility() >= 1
	backwards := o.GetReadDirection() == streams.ReadReq_Options_Backwards
	switch what := o.GetStreamOption().(type) {
	case *streams.ReadReq_Options_All:
		f, _, err := readFilter(o)
		if err != nil {
			return err
		}
		return r.readAll(what.All, f, count, upto, backwards, tellEnds)
	case *streams.ReadReq_Options_Stream:
		if o.GetFilter() != nil {
			return invalid("a filter is for reads of $all")
		}
		return r.readStream(what.Stream, count, upto, backwards, tellEnds)
	default:
		return invalid("a read names a stream or $all")
	}
}

func (r *reader) readAll(o *streams.ReadReq_Options_AllOptions, f *filter, count, upto uint64, backwards, tellEnds bool) error {
	// Forwards a position is included, backwards it is not: it is where one stands.
	var from uint64
	switch at := o.GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Position:
		from = min(at.Position.GetCommitPosition(), upto+1)
	case *streams.ReadReq_Options_AllOptions_Start:
	case *streams.ReadReq_Options_AllOptions_End:
		from = upto + 1
	default:
		return invalid("a read of $all says where it starts")
	}
	after := max(from, 1) - 1
	err := r.pages(count, f, func(p *pager) error {
		p.all = true
		if backwards {
			err := r.log.backwards(from, p.visit)
			from = p.last
			return err
		}
		err := r.log.forwards(after, upto, p.visit)
		after = p.last
		return err
	})
	if err != nil || !tellEnds || upto == 0 {
		return err
	}
	return r.send(&streams.ReadResp{Content: &streams.ReadResp_LastAllStreamPosition{
		LastAllStreamPosition: &shared.AllStreamPosition{CommitPosition: upto, PreparePosition: upto},
	}})
}

func (r *reader) readStream(o *streams.ReadReq_Options_StreamOptions, count, upto uint64, backwards, tellEnds bool) error {
	name := o.GetStreamIdentifier().GetStreamName()
	if len(name) == 0 {
		return invalid("a read names its stream")
	}
	live, err := r.log.live(name, upto)
	switch {
	case err != nil:
		return err
	case live.tombstoned:
		return streamDeleted(r.ctx, string(name))
	case !live.found:
		return r.send(notFoundToWire(name))
	}
	var from uint64
	switch at := o.GetRevisionOption().(type) {
	case *streams.ReadReq_Options_StreamOptions_Revision:
		from = at.Revision
	case *streams.ReadReq_Options_StreamOptions_Start:
	case *streams.ReadReq_Options_StreamOptions_End:
		from = live.next - 1 // it is found, so there is one
	default:
		return invalid("a read of a stream says where it starts")
	}
	done := live.empty()
	switch {
	case backwards:
		from = min(from, live.next-1)
		done = done || from < live.first
	default:
		from = max(from, live.first)
		done = done || from >= live.next
	}
	err = r.pages(count, nil, func(p *pager) error {
		switch {
		case done:
			return nil
		case backwards:
			err := r.log.streamBackwards(name, from, upto, func(rec *record) (bool, error) {
				if rec.revision < live.first {
					return false, nil
				}
				return p.visit(rec)
			})
			if done = p.lastRevision <= live.first; !done {
				from = p.lastRevision - 1
			}
			return err
		default:
			err := r.log.streamForwards(name, from, upto, p.visit)
			from = p.lastRevision + 1
			return err
		}
	})
	if err != nil || !tellEnds {
		return err
	}
	if err := r.send(&streams.ReadResp{Content: &streams.ReadResp_FirstStreamPosition{FirstStreamPosition: live.first}}); err != nil {
		return err
	}
	return r.send(&streams.ReadResp{Content: &streams.ReadResp_LastStreamPosition{LastStreamPosition: live.next - 1}})
}

// pages sends up to count events, one page after the other, until a scan ends by
// itself. scan continues where the previous page ended.
func (r *reader) pages(count uint64, f *filter, scan func(*pager) error) error {
	for count > 0 {
		p := r.newPager(f, count, pageScanned)
		if err := scan(p); err != nil {
			return err
		}
		if err := r.sendPage(p); err != nil {
			return err
		}
		if !p.full {
			return nil
		}
		count -= uint64(len(p.page))
	}
	return nil
}

// sendPage sends what a scan has found. It fails with the reason for which the call
// has to end.
func (r *reader) sendPage(p *pager) error {
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	if len(p.page) == 0 {
		return nil
	}
	page := mem.NewBuffer(p.encoded, &pages)
	defer page.Free()
	start := 0
	for _, e := range p.page {
		var event mem.Buffer
		if e.link == nil {
			event = page.Slice(start, e.end) // gRPC frees it
			start = e.end
		} else {
			target, err := r.log.resolve(e.link, true, r.horizon.durable())
			if err != nil {
				return err
			}
			event = mem.SliceBuffer(appendEvent(nil, target, r.uuidAsString))
		}
		if err := r.sendEncoded(event); err != nil {
			return err
		}
	}
	return nil
}

// pager collects what a reader wants out of a scan, as it will be sent, and ends the
// scan when it is time to send.
type pager struct {
	filter       *filter
	maxEvents    uint64
	maxCounted   uint64
	uuidAsString bool
	followLinks  bool

	page         []pageEvent
	encoded      *[]byte // the events, one behind the other
	bytes        int
	scanned      int
	counted      uint64 // events looked at that $all shows, wanted or not
	last         uint64 // position of the last record looked at
	lastRevision uint64
	all          bool // a scan of $all: bookkeeping is left out
	full         bool // the scan did not end by itself
}

// pageEvent is an event of a page: its bytes go from the previous one's end to its
// own. A link is only encoded when it has been followed, which a scan may not do.
type pageEvent struct {
	end  int
	link *record
}

func (r *reader) newPager(f *filter, maxEvents, maxCounted uint64) *pager {
	return &pager{
		filter: f, maxEvents: min(maxEvents, pageEvents), maxCounted: maxCounted,
		uuidAsString: r.uuidAsString, followLinks: r.followLinks,
	}
}

func (p *pager) visit(r *record) (bool, error) {
	p.scanned++
	p.last, p.lastRevision = r.position, r.revision
	if !p.all || !hidden(r.stream) {
		p.counted++
		if p.filter.matches(r) {
			p.add(r)
			p.bytes += len(r.encoded)
		}
	}
	p.full = uint64(len(p.page)) >= p.maxEvents || p.bytes >= pageBytes || p.scanned >= pageScanned || p.counted >= p.maxCounted
	return !p.full, nil
}

func (p *pager) add(r *record) {
	if p.encoded == nil {
		p.encoded = pages.Get(pageBuffer)
	}
	var e pageEvent
	if p.followLinks && string(r.eventType) == linkType {
		e.link = r.clone()
	} else {
		*p.encoded = appendEvent(*p.encoded, resolved{event: r}, p.uuidAsString)
	}
	e.end = len(*p.encoded)
	p.page = append(p.page, e)
}
