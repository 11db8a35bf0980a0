package task

// SubTaskConsidered: a scanner begins to look at a package that it may have looked
// at before, and that nobody has had an answer about. It is recorded before the
// scanner decides, so a decision that takes its process down is counted. It is no
// participation: it is not observed, no verdict reads it, and it prolongs no quiet.
type SubTaskConsidered struct {
	TaskID  string  `json:"taskId"`
	Type    string  `json:"subTaskType"`
	Try     int     `json:"try"` // from 1; a first delivery is not recorded
	Scanner Scanner `json:"scanner"`
	// Delivery tells apart two tries of the same number by different owners.
	Delivery string `json:"delivery,omitempty"`
}

func (SubTaskConsidered) fact() {}

// Key implements Fact. The owner is part of it, as of SubTaskStarted.
func (f SubTaskConsidered) Key() string {
	return join("SubTaskConsidered", f.Type, f.Try) + "/" + f.Scanner.Instance + "/" + f.Delivery
}

// Consideration is how often a type was tried without an answer, and by whom last.
type Consideration struct {
	Tries    int    `json:"tries"`
	Instance string `json:"instance,omitempty"`
	Delivery string `json:"delivery,omitempty"`
}

// Consider records that a try begins. Once the type has answered, there is nothing
// to be counted any more.
type Consider struct {
	Type     string
	Scanner  Scanner
	Delivery string // the same for repetitions of this very command
}

func (c Consider) decide(s State) ([]Fact, error) {
	if err := s.takesSubTask(c.Type); err != nil {
		return nil, err
	}
	_, declined := s.Declined[c.Type]
	_, takesPart := s.SubTasks[c.Type]
	last := s.Considered[c.Type]
	if declined || takesPart || s.Cancelled != nil || last.Tries > 0 && last.Instance == c.Scanner.Instance && last.Delivery == c.Delivery {
		return nil, nil
	}
	return []Fact{SubTaskConsidered{TaskID: s.TaskID, Type: c.Type, Try: last.Tries + 1, Scanner: c.Scanner, Delivery: c.Delivery}}, nil
}
