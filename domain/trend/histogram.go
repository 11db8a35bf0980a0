package trend

import (
	"math"
	"math/bits"
)

// NoBin stands for "no duration".
const NoBin = -1

// Bin numbers the bin that a duration in milliseconds falls into. Bin 0 holds 0;
// bin k > 0 holds [√2^(k-1), √2^k): 1, 2, 3, 4–5, 6–7, 8–11, 12–15, 16–22, … ms. There are
// 127 in all. A negative duration is none.
func Bin(ms int64) int {
	if ms <= 0 {
		return int(max(ms, NoBin))
	}
	hi, lo := bits.Mul64(uint64(ms), uint64(ms)) // 2·log2(ms) = log2(ms²), without rounding
	if hi != 0 {
		return 64 + bits.Len64(hi)
	}
	return bits.Len64(lo)
}

// Middle is the geometric middle of a bin, in milliseconds. No duration in the bin
// differs from it by more than a factor of 2^¼, which is 1.19.
func Middle(bin int) float64 {
	if bin <= 0 {
		return 0
	}
	return math.Pow(2, float64(bin-1)/2+0.25)
}

// Histogram counts durations by bin.
type Histogram map[int]int64

// Count is how many durations there are.
func (h Histogram) Count() (n int64) {
	for _, c := range h {
		n += c
	}
	return n
}

// Quantile is the middle of the bin that holds the duration of rank ⌈q·n⌉; false
// when there are none.
func (h Histogram) Quantile(q float64) (ms float64, ok bool) {
	n := h.Count()
	if n == 0 {
		return 0, false
	}
	rank := max(1, int64(math.Ceil(q*float64(n))))
	for bin := range 128 {
		if rank -= h[bin]; rank <= 0 {
			return Middle(bin), true
		}
	}
	return 0, false
}
