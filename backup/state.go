package backup

// State is where a backup stands. The arrows are all there are:
//
//	pending → running → sealing → done
//	pending, running, sealing → failed
//	pending, running → canceled
//	failed, canceled → pending, running, sealing   (Retry)
//	done, failed, canceled → deleting
type State string

// The states of a backup.
const (
	StatePending  State = "pending"  // asked for, not yet planned
	StateRunning  State = "running"  // its tasks are planned and run
	StateSealing  State = "sealing"  // every task is done; the manifest is being written
	StateDone     State = "done"     // the manifest is in the store: a complete copy
	StateFailed   State = "failed"   // a task, the planning or the sealing failed for good
	StateCanceled State = "canceled" // somebody canceled it
	StateDeleting State = "deleting" // its objects and rows are being removed
)

// Terminal reports whether a backup in this state moves no further by itself.
func (s State) Terminal() bool {
	return s == StateDone || s == StateFailed || s == StateCanceled
}

// TaskState is where one provider's task stands:
//
//	pending → running → committing → done
//	running, committing → pending    (next attempt)
//	running, committing → failed
//	pending, running, committing → canceled   (committing: it lost its parts when the backup was about to end)
//	failed, canceled, and done ones that are too old → pending (Retry)
//	failed behind the gate → committing (Retry)
type TaskState string

// The states of a task.
const (
	TaskPending    TaskState = "pending"    // waits to be run, at NextAttemptAt if that is set
	TaskRunning    TaskState = "running"    // a worker streams the export
	TaskCommitting TaskState = "committing" // every byte is stored and the part list is final
	TaskDone       TaskState = "done"       // the object is in the store
	TaskFailed     TaskState = "failed"     // failed for good
	TaskCanceled   TaskState = "canceled"   // canceled, or given up because a sibling failed
)

// Terminal reports whether a task in this state moves no further by itself.
func (s TaskState) Terminal() bool {
	return s == TaskDone || s == TaskFailed || s == TaskCanceled
}
