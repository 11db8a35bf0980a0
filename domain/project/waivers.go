package project

import (
	"fmt"
	"slices"
	"time"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/suppression"
)

// WaiverGranted: findings of the project's packages do not count, on an operator's
// word. It suppresses those of security rules too.
type WaiverGranted struct {
	ID      string `json:"id"`
	Project string `json:"project"`
	Type    string `json:"subTaskType,omitempty"` // empty: whatever scanner finds it
	suppression.Which
	Reason  string           `json:"reason"`
	Expires suppression.Date `json:"expires,omitempty"`
	By      string           `json:"by,omitempty"`
}

// WaiverRevoked: they count again.
type WaiverRevoked struct {
	ID      string `json:"id"`
	Project string `json:"project"`
	Reason  string `json:"reason,omitempty"`
	By      string `json:"by,omitempty"`
}

func (WaiverGranted) fact() {}
func (WaiverRevoked) fact() {}

// Key implements Fact.
func (f WaiverGranted) Key() string { return "WaiverGranted/" + f.ID }

// Key implements Fact.
func (f WaiverRevoked) Key() string { return "WaiverRevoked/" + f.ID }

// Waiver is a waiver and what became of it.
type Waiver struct {
	WaiverGranted
	At      time.Time
	Revoked *Revocation

	revision uint64
}

// Revocation says when a waiver ended before its time.
type Revocation struct {
	At         time.Time
	By, Reason string
}

// Order has those that were granted first first.
func Order(a, b Waiver) int {
	switch {
	case a.revision < b.revision:
		return -1
	case a.revision > b.revision:
		return 1
	}
	return 0
}

// maxWaivers is how many may hold in one stream at once.
const maxWaivers = 1000

// Granted returns the waivers that were not revoked, in the order in which they were
// granted; those that have expired are among them.
func (s State) Granted() []Waiver {
	var out []Waiver
	for _, w := range s.Waivers {
		if w.Revoked == nil {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, Order)
	return out
}

// GrantWaiver takes findings out of the gate. Now is the time of the wish: a waiver
// that is over is a slip.
type GrantWaiver struct {
	ID      string // of the new waiver
	Type    string
	Which   suppression.Which
	Reason  string
	Expires suppression.Date
	By      string
	Now     time.Time
}

func (c GrantWaiver) decide(s State) ([]Fact, error) {
	if c.Type != "" {
		if err := checkType(c.Type); err != nil {
			return nil, err
		}
	}
	if err := c.Which.Check(); err != nil {
		return nil, err
	}
	if err := suppression.CheckReason(c.Reason); err != nil {
		return nil, err
	}
	if c.Expires.Over(c.Now) {
		return nil, &domain.Error{Kind: domain.Invalid, Rule: "waiver.expired",
			Msg: fmt.Sprintf("%s is over already; give a day to come", c.Expires), MsgZH: fmt.Sprintf("%s 已过期；请给出未来的日期", c.Expires)}
	}
	granted := s.Granted()
	for _, w := range granted {
		if w.same(c) {
			return nil, nil
		}
	}
	if len(granted) >= maxWaivers {
		return nil, &domain.Error{Kind: domain.Refused, Rule: "waiver.too_many",
			Msg:   fmt.Sprintf("%d waivers hold already; revoke those that are not needed", maxWaivers),
			MsgZH: fmt.Sprintf("已有 %d 条豁免生效；请撤销不再需要的豁免", maxWaivers)}
	}
	return []Fact{WaiverGranted{ID: c.ID, Project: s.Project, Type: c.Type, Which: c.Which, Reason: c.Reason, Expires: c.Expires, By: c.By}}, nil
}

func (w Waiver) same(c GrantWaiver) bool {
	return w.Type == c.Type && w.Which == c.Which && w.Reason == c.Reason && w.Expires == c.Expires
}

// Find returns the waiver that a wish of this kind has led to.
func (s State) Find(c GrantWaiver) (Waiver, bool) {
	for _, w := range s.Granted() {
		if w.same(c) {
			return w, true
		}
	}
	return Waiver{}, false
}

// RevokeWaiver has findings count again.
type RevokeWaiver struct {
	ID, Reason, By string
}

func (c RevokeWaiver) decide(s State) ([]Fact, error) {
	w, ok := s.Waivers[c.ID]
	switch {
	case !ok:
		return nil, &domain.Error{Kind: domain.NotFound, Rule: "waiver.unknown",
			Msg:   fmt.Sprintf("project %s has no waiver %.60q; see factgate waivers list %s", s.Project, c.ID, s.Project),
			MsgZH: fmt.Sprintf("项目 %s 没有豁免 %.60q；请查看 factgate waivers list %s", s.Project, c.ID, s.Project)}
	case w.Revoked != nil:
		return nil, nil
	case c.Reason != "":
		if err := suppression.CheckReason(c.Reason); err != nil {
			return nil, err
		}
	}
	return []Fact{WaiverRevoked{ID: c.ID, Project: s.Project, Reason: c.Reason, By: c.By}}, nil
}
