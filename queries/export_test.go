package queries

// TakeAtMost sets how many facts a stream may have, and returns how many it was.
func (q *Queries) TakeAtMost(n int) (before int) {
	before, q.most = q.most, n
	return before
}
