package backup

import (
	"cmp"
	"slices"
)

// feed is a backup that is watched. The Watcher's lock is held over it.
type feed struct {
	id    string
	subs  map[*Subscription]struct{}
	dirty bool // there may be more events than those up to head

	// The first Subscription that has caught up says what head is; before that
	// nothing is read for the feed.
	known   bool
	head    int64 // the last event that was read
	from    int64 // recent are all there are behind this one, up to head
	recent  []Event
	gone    bool // the backup was deleted
	changed chan struct{}
}

// add takes in what was read behind head. A reader that has left too much unread
// is dropped.
func (f *feed) add(events []Event, maxUnread int) {
	if len(events) == 0 {
		return
	}
	f.recent = append(f.recent, events...)
	f.head = events[len(events)-1].Seq
	oldest := f.head
	for s := range f.subs {
		switch {
		case !s.live:
		case f.head-s.seq > int64(maxUnread):
			s.end = ErrSlowReader
			delete(f.subs, s)
		default:
			oldest = min(oldest, s.seq)
		}
	}
	f.trim(oldest)
	f.tell()
}

// trim forgets the events up to seq. What readers have got stays theirs.
func (f *feed) trim(seq int64) {
	if seq <= f.from {
		return
	}
	if f.recent, f.from = slices.Clone(f.after(seq)), seq; len(f.recent) == 0 {
		f.recent = nil // and not an empty end of an array
	}
}

// tell wakes the readers.
func (f *feed) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// after are the recent events behind seq.
func (f *feed) after(seq int64) []Event {
	i, _ := slices.BinarySearchFunc(f.recent, seq+1, func(e Event, seq int64) int { return cmp.Compare(e.Seq, seq) })
	return slices.Clip(f.recent[i:])
}
