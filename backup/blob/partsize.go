package blob

const (
	kib = 1 << 10
	mib = 1 << 20

	// minPartSize and maxPartSize bound UploadOptions.PartSize. The maximum is
	// Azure's.
	minPartSize = 64 * kib
	maxPartSize = 4000 * mib

	// growEvery is after how many parts their size doubles, so that MaxParts
	// parts of 8 MiB and more reach 2.4 TiB.
	growEvery = 10_000
)

// schedule says how large each part is, and how many may be under way.
type schedule struct {
	first       int64 // UploadOptions.PartSize
	concurrency int   // UploadOptions.Concurrency
}

// size is the size of part index. A last part is shorter, and one before an error
// of the source, and one that ends at a source's mark.
func (s schedule) size(index int) int64 {
	return min(s.first<<(index/growEvery), maxPartSize)
}

// Capacity is how many bytes MaxParts parts hold at most, the first of which has
// partSize bytes (see UploadOptions). A longer stream gives ErrTooManyParts.
func Capacity(partSize int64) (n int64) {
	s := schedule{first: partSize}
	for index := 0; index < MaxParts; index += growEvery {
		n += s.size(index) * growEvery
	}
	return n
}

// window is how many bytes the upload may hold in buffers while it handles parts
// of size bytes: those of Concurrency parts that are staged and of one that is
// filled; and of two parts, however large they have grown.
func (s schedule) window(size int64) int64 {
	return max(s.first*int64(s.concurrency+1), 2*size)
}

// weight is the share of slots that staging a part of size bytes takes. Of parts
// that have grown to 16 MiB two are staged at a time, of larger ones one.
func (s schedule) weight(size int64) int64 {
	switch {
	case size == s.first || size < 16*mib:
		return 2
	case size < 32*mib:
		return max(s.slots()/2, 2)
	default:
		return s.slots()
	}
}

// slots is the weight of all the parts that may be staged at a time.
func (s schedule) slots() int64 { return 2 * int64(s.concurrency) }
