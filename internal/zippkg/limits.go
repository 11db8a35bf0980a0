package zippkg

import "fmt"

// Limits bound what a package may cost its readers. A field that is zero or
// negative takes its value from [DefaultLimits]: there is no way to ask for
// "unlimited" by forgetting something.
type Limits struct {
	Upload   int64 // bytes of the zip itself
	Unpacked int64 // bytes of all files together, unpacked
	File     int64 // bytes of one file, unpacked
	Text     int64 // bytes of one file read by File.Text, before decoding

	Entries   int   // directory entries, folders and skipped files included
	Directory int64 // bytes of the zip's directory

	// Nested is how many bytes the zips in the package may take that are compressed
	// in it: they are held in memory. Entries, Directory and Unpacked count those of
	// all zips in the package too.
	Nested int64

	// A file, or the whole package, whose unpacked size is past RatioFrom must
	// not be more than Ratio times as large as its packed bytes.
	Ratio     int64
	RatioFrom int64

	PathBytes      int // length of a path in UTF-8
	PathComponents int // folders of a path, its last name included
}

// DefaultLimits returns the limits used when nothing else is configured.
func DefaultLimits() Limits {
	return Limits{
		Upload:         200 << 20,
		Unpacked:       2 << 30,
		File:           100 << 20,
		Text:           10 << 20,
		Entries:        20_000,
		Directory:      32 << 20,
		Nested:         32 << 20,
		Ratio:          100,
		RatioFrom:      1 << 20,
		PathBytes:      512,
		PathComponents: 32,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{
		Upload:         positiveOr(l.Upload, d.Upload),
		Unpacked:       positiveOr(l.Unpacked, d.Unpacked),
		File:           positiveOr(l.File, d.File),
		Text:           positiveOr(l.Text, d.Text),
		Entries:        positiveOr(l.Entries, d.Entries),
		Directory:      positiveOr(l.Directory, d.Directory),
		Nested:         positiveOr(l.Nested, d.Nested),
		Ratio:          positiveOr(l.Ratio, d.Ratio),
		RatioFrom:      positiveOr(l.RatioFrom, d.RatioFrom),
		PathBytes:      positiveOr(l.PathBytes, d.PathBytes),
		PathComponents: positiveOr(l.PathComponents, d.PathComponents),
	}
}

func positiveOr[N int | int64](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

// inflated tells whether unpacked bytes out of packed ones break the ratio. It
// divides before it multiplies, so that no size can overflow.
func (l Limits) inflated(unpacked, packed int64) bool {
	return unpacked > l.RatioFrom && unpacked/l.Ratio >= packed && unpacked != packed*l.Ratio
}

// inBytes writes a number of bytes the way limits are written.
func inBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.4g GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d B", n)
	}
}
