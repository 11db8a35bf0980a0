package xlsx

// Limits bound what one workbook may cost. A field that is zero takes its
// default, so that nothing becomes unlimited by being forgotten.
type Limits struct {
	Bytes       int64 // packed: 20 MiB
	Unzipped    int64 // of the parts that are read, counted while reading: 512 MiB
	OtherPart   int64 // of one part that is neither a sheet nor the shared strings: 16 MiB
	Parts       int   // 10,000
	Sheets      int   // 10,000
	Strings     int   // shared: 4 million
	StringBytes int64 // of the shared strings that the rows need: 64 MiB
	CellBytes   int   // of one cell: 128 KiB, four times Excel's own limit; longer ones are told by Cell.TooLong
	RowBytes    int   // of one row, shared strings apart: 8 MiB
	Ranges      int   // merged ranges and hidden columns of one sheet: 100,000; more are not kept
	Depth       int   // of elements: 64
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Bytes:       positiveOr(l.Bytes, 20<<20),
		Unzipped:    positiveOr(l.Unzipped, 512<<20),
		OtherPart:   positiveOr(l.OtherPart, 16<<20),
		Parts:       positiveOr(l.Parts, 10_000),
		Sheets:      positiveOr(l.Sheets, 10_000),
		Strings:     positiveOr(l.Strings, 4_000_000),
		StringBytes: positiveOr(l.StringBytes, 64<<20),
		CellBytes:   positiveOr(l.CellBytes, 128<<10),
		RowBytes:    positiveOr(l.RowBytes, 8<<20),
		Ranges:      positiveOr(l.Ranges, 100_000),
		Depth:       positiveOr(l.Depth, 64),
	}
}

func positiveOr[N int | int64](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}
