package node

import (
	"fmt"
	"strconv"
)

// source is what a group's messages come from: $all, or one stream. A place in it is
// a number that only grows: in $all the position of the last event in front of it,
// in a stream the revision of the first event behind it.
type source interface {
	// now returns the horizon and a channel that is closed when there may be more to
	// read.
	now() (uint64, <-chan struct{})
	// scan visits what is behind a place.
	scan(from, upto uint64, visit visitor) error
	// behind is the place behind a record.
	behind(r *record) uint64
	// shows says whether a record counts for the group, and whether the group wants it.
	shows(r *record) (counts, wanted bool)
	// end is the place behind everything, after a scan that went to its end.
	end(from, upto uint64) uint64
	// endAt is the place behind everything that was there when the log was at upto.
	endAt(upto uint64) (uint64, error)
	// format writes a place down as clients know it, which name the last event in
	// front of it; the place in front of everything is "".
	format(place uint64) string
	parse(text string) (place uint64, err error)
	close()
}

// newSource opens the source that a group's settings name.
func newSource(n *Node, config *groupConfig) (source, error) {
	if config.Stream != allStream {
		return &streamSource{log: n.log, name: []byte(config.Stream), watch: n.committer.horizon.watch(config.Stream)}, nil
	}
	f, err := config.Filter.compile()
	if err != nil {
		return nil, err
	}
	return &allSource{log: n.log, horizon: n.committer.horizon, filter: f}, nil
}

// allSource is $all, less what the group's filter leaves out.
type allSource struct {
	log     *log
	horizon *horizon
	filter  *filter
}

func (s *allSource) now() (uint64, <-chan struct{}) { return s.horizon.now() }

func (s *allSource) scan(from, upto uint64, visit visitor) error {
	return s.log.forwards(from, upto, visit)
}

func (s *allSource) behind(r *record) uint64 { return r.position }

func (s *allSource) shows(r *record) (counts, wanted bool) {
	counts = !hidden(r.stream)
	return counts, counts && s.filter.matches(r)
}

func (s *allSource) end(from, upto uint64) uint64 { return max(from, upto) }

func (s *allSource) endAt(upto uint64) (uint64, error) { return upto, nil }

func (s *allSource) format(place uint64) string {
	if place == 0 {
		return ""
	}
	return formatPosition(place)
}

func (s *allSource) parse(text string) (uint64, error) { return parsePosition(text) }

func (s *allSource) close() {}

// streamSource is one stream, which need not exist yet. It is woken when that stream
// grows and not by others.
type streamSource struct {
	log   *log
	name  []byte
	watch *watch
}

func (s *streamSource) now() (uint64, <-chan struct{}) { return s.watch.now() }

func (s *streamSource) scan(from, upto uint64, visit visitor) error {
	return readForGroup(s.log, s.name, from, upto, visit)
}

func (s *streamSource) behind(r *record) uint64 { return r.revision + 1 }

func (s *streamSource) shows(*record) (counts, wanted bool) { return true, true }

func (s *streamSource) end(from, _ uint64) uint64 { return from }

func (s *streamSource) endAt(upto uint64) (uint64, error) {
	live, err := s.log.live(s.name, upto)
	return live.next, err
}

func (s *streamSource) format(place uint64) string {
	if place == 0 {
		return ""
	}
	return strconv.FormatUint(place-1, 10)
}

func (s *streamSource) parse(text string) (uint64, error) {
	revision, err := strconv.ParseUint(text, 10, 63)
	if err != nil || strconv.FormatUint(revision, 10) != text {
		return 0, fmt.Errorf("%q is not a revision", text)
	}
	return revision + 1, nil
}

func (s *streamSource) close() { s.watch.close() }

// readForGroup is the one way in which groups read a stream, be it their source or
// what they parked: what of it can be read.
func readForGroup(l *log, stream []byte, from, upto uint64, visit visitor) error {
	live, err := l.live(stream, upto)
	if err != nil || live.empty() {
		return err
	}
	return l.streamForwards(stream, max(from, live.first), upto, func(r *record) (bool, error) {
		if r.revision >= live.next {
			return false, nil
		}
		return visit(r)
	})
}
