package scanners

// Listener hears what a runtime does. Callbacks run on its own goroutines, several at
// once; they must be quick, and must neither block, nor panic, nor call the runtime.
// What is nil is not told. A process that dies has told nobody of its last moments:
// this is for counting, and who must know reads the log.
type Listener struct {
	// Decided: the scanner looked at a package, and what it decided is durable. code is
	// why it declined, TakesPart if it did not.
	Decided func(subTaskType, code string)
	// Began: an attempt is recorded, and the scan begins. Scanned follows it.
	Began func(subTaskType string)
	// Scanned: the attempt has ended, however.
	Scanned func(subTaskType string)
	// Delivered: the log was told how a delivery ended: Acknowledged, Repeated or Parked.
	Delivered func(subTaskType, end string)
}

// What a Listener hears.
const (
	TakesPart = "TAKES_PART"

	Acknowledged = "ack"
	Repeated     = "retry"
	Parked       = "park"
)

func (l Listener) decided(subTaskType, code string) {
	if l.Decided != nil {
		l.Decided(subTaskType, code)
	}
}

func (l Listener) began(subTaskType string) {
	if l.Began != nil {
		l.Began(subTaskType)
	}
}

func (l Listener) scanned(subTaskType string) {
	if l.Scanned != nil {
		l.Scanned(subTaskType)
	}
}

// delivered passes on what telling the log gave.
func (l Listener) delivered(subTaskType, end string, err error) error {
	if err == nil && l.Delivered != nil {
		l.Delivered(subTaskType, end)
	}
	return err
}
