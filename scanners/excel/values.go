package excel

import (
	"math"
	"strconv"
)

// enabled reads whether a job is switched on; known is false where the table
// does not say, or says it in words that the profile does not have.
func (t *template) enabled(j job) (on, known bool) {
	if !j.table.header.has(fieldEnabled) {
		return true, true
	}
	on, known = t.booleans[normaliseWord(j.row.cells[fieldEnabled])]
	return on, known
}

// wholeNumber reads 3, and 3.0 as a cell may hold it.
func wholeNumber(s string) (int, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1e9 {
		return 0, false
	}
	return int(f), true
}
