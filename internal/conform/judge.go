package conform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/factgate/factgate/commands"
	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/domain/task"
)

// typeOf is the sub-task type that a fact speaks of, or "".
func typeOf(f Fact) string {
	var said struct {
		Type string `json:"subTaskType"`
	}
	_ = json.Unmarshal(f.Data, &said) // what is no object speaks of nobody
	return said.Type
}

// required are the fields without which a fact cannot be understood.
var required = map[string][]string{
	"SubTaskStarted":    {"taskId", "subTaskType", "attempt", "scanner"},
	"SubTaskDeclined":   {"taskId", "subTaskType", "code", "reason", "scanner"},
	"SubTaskCompleted":  {"taskId", "subTaskType", "attempt", "result", "summary", "coverage", "durationMs"},
	"SubTaskFailed":     {"taskId", "subTaskType", "attempt", "kind", "reason"},
	"SubTaskConsidered": {"taskId", "subTaskType", "try", "scanner"},
}

// faults names what is wrong with what the type has said of a task, by check.
func (k *kit) faults(id string, s seen) map[string][]report.Text {
	found := map[string][]report.Text{}
	add := func(check, en, zh string) { found[check] = append(found[check], report.Text{En: en, Zh: zh}) }
	started, over := map[int]int{}, map[int]int{}
	newest := 0
	for _, f := range s.facts {
		if of := typeOf(f); !isKnown(f.Type) && of != k.Type && of != "" {
			continue // another scanner's
		}
		if !isKnown(f.Type) {
			add(Shapes, fmt.Sprintf("%.60q is no fact of a task; the task now ends as FAILED, since nobody can read it", f.Type), fmt.Sprintf("%.60q 不是任务的事实；该任务会因无法读取而以 FAILED 结束", f.Type))
			continue
		}
		if typeOf(f) != k.Type || required[f.Type] == nil {
			continue
		}
		fact, err := strictly(f)
		if err != nil {
			add(Shapes, fmt.Sprintf("%s: %v", f.Type, err), fmt.Sprintf("%s：%v", f.Type, err))
			fact = task.Read(f.Type, f.Data)
		}
		if want := commands.FactID(id, fact); err == nil && f.ID != want {
			add(Shapes, fmt.Sprintf("%s has the id %s; derived from task and key %q it is %s", f.Type, f.ID, fact.Key(), want),
				fmt.Sprintf("%s 的 id 为 %s；由任务和键 %q 推导应为 %s", f.Type, f.ID, fact.Key(), want))
		}
		attempt := 0
		switch f := fact.(type) {
		case task.SubTaskStarted:
			if attempt = f.Attempt; started[attempt] == 0 && attempt != newest+1 {
				add(OneStart, fmt.Sprintf("attempt %d follows attempt %d; attempts count one by one from 1", attempt, newest), fmt.Sprintf("第 %d 次尝试之后是第 %d 次；尝试应从 1 起依次递增", newest, attempt))
			}
			newest = max(newest, attempt)
			if started[attempt]++; started[attempt] == 2 {
				add(OneStart, fmt.Sprintf("attempt %d was started twice; start it once, with the expected revision", attempt), fmt.Sprintf("第 %d 次尝试开始了两次；应携带期望版本号且只开始一次", attempt))
			}
		case task.SubTaskCompleted:
			attempt = f.Attempt
			over[attempt]++
		case task.SubTaskFailed:
			attempt = f.Attempt
			over[attempt]++
		}
		if over[attempt] > 0 && started[attempt] == 0 {
			add(OneStart, fmt.Sprintf("attempt %d was ended and never started", attempt), fmt.Sprintf("第 %d 次尝试已结束但从未开始", attempt))
		}
		if over[attempt] == 2 {
			add(OneStart, fmt.Sprintf("attempt %d was ended twice", attempt), fmt.Sprintf("第 %d 次尝试结束了两次", attempt))
		}
		if over[attempt] > 0 && attempt < newest {
			add(OneStart, fmt.Sprintf("attempt %d was ended after attempt %d had begun", attempt, newest), fmt.Sprintf("第 %d 次尝试开始后，第 %d 次尝试才结束", newest, attempt))
		}
		if err == nil {
			k.dishonest(fact, add)
		}
	}
	return found
}

// dishonest sorts what contradicts itself under the check that names it.
func (k *kit) dishonest(fact task.Fact, add func(check, en, zh string)) {
	var e *domain.Error
	if !errors.As(task.Honest(fact), &e) {
		return
	}
	check := Shapes
	switch e.Rule {
	case "fact.coverage", "fact.result":
		check = CoverageHonest
	case "fact.report":
		check = ReportReadable
	}
	add(check, task.TypeName(fact)+": "+e.Msg, task.TypeName(fact)+"："+e.MsgZH)
}

// strictly decodes a fact and refuses fields that do not exist or are missing.
func strictly(f Fact) (task.Fact, error) {
	var there map[string]json.RawMessage
	if err := json.Unmarshal(f.Data, &there); err != nil {
		return nil, err
	}
	for _, name := range required[f.Type] {
		if _, ok := there[name]; !ok {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	switch f.Type {
	case "SubTaskStarted":
		return decode[task.SubTaskStarted](f.Data)
	case "SubTaskDeclined":
		return decode[task.SubTaskDeclined](f.Data)
	case "SubTaskCompleted":
		return decode[task.SubTaskCompleted](f.Data)
	case "SubTaskFailed":
		return decode[task.SubTaskFailed](f.Data)
	default:
		return decode[task.SubTaskConsidered](f.Data)
	}
}

func decode[F task.Fact](data []byte) (task.Fact, error) {
	var f F
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&f)
	return f, err
}
