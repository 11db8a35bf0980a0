package commands

import (
	"context"
	"sync"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/scanner"
	"github.com/factgate/factgate/domain/task"
	"github.com/factgate/factgate/eventstore"
)

// IssueScannerKey puts a key in force by which a scanner may speak for its type over
// HTTP. The same key again changes nothing.
func (c *Commands) IssueScannerKey(ctx context.Context, w scanner.IssueKey) (changed bool, err error) {
	return c.executeKeys(ctx, w.Type, w.By, w)
}

// RevokeScannerKey ends a key, at once.
func (c *Commands) RevokeScannerKey(ctx context.Context, w scanner.RevokeKey) (changed bool, err error) {
	return c.executeKeys(ctx, w.Type, w.By, w)
}

// ScannerKeys returns the keys of a type.
func (c *Commands) ScannerKeys(ctx context.Context, subTaskType string) (scanner.Keys, error) {
	return NewKeyring(c.log).Keys(ctx, subTaskType)
}

func keyring(subTaskType string) eventstore.StreamID {
	return eventstore.StreamID{Category: scanner.KeyCategory, Key: subTaskType}
}

func (c *Commands) executeKeys(ctx context.Context, subTaskType, by string, wish scanner.KeyCommand) (bool, error) {
	stream := keyring(subTaskType)
	if !task.ValidType(subTaskType) {
		_, err := scanner.DecideKeys(scanner.Keys{}, wish)
		return false, err // which says so
	}
	done, err := c.change(ctx, stream, func(past []eventstore.Recorded) ([]eventstore.Event, error) {
		var keys scanner.Keys
		for _, r := range past {
			keys = scanner.EvolveKeys(keys, scanner.RecordedKey{Revision: r.Revision, Fact: scanner.ReadKey(r.Type, r.Data)})
		}
		facts, err := scanner.DecideKeys(keys, wish)
		if err != nil {
			return nil, err
		}
		return encodeAt(stream, keys.Facts, by, facts, scanner.EncodeKey)
	})
	return len(done.events) > 0, err
}

// Keyring knows which keys of scanners are in force. It remembers what it has read
// and is brought up to date by each question, so a revoked key is refused at once.
// It is safe for concurrent use.
type Keyring struct {
	log eventstore.Reader

	mu   sync.Mutex
	read map[string]scanner.Keys // by type
}

// maxKeyrings bounds the types that a Keyring remembers; beyond it forgets them.
const maxKeyrings = 1000

// NewKeyring returns the keyring of a log.
func NewKeyring(log eventstore.Reader) *Keyring {
	return &Keyring{log: log, read: map[string]scanner.Keys{}}
}

// Keys returns those of a type.
func (k *Keyring) Keys(ctx context.Context, subTaskType string) (scanner.Keys, error) {
	stream := keyring(subTaskType)
	k.mu.Lock()
	keys := k.read[subTaskType]
	k.mu.Unlock()
	known := keys.Facts
	for e, err := range k.log.ReadStream(ctx, stream, keys.Facts) {
		if eventstore.IsNotFound(err) {
			break
		}
		if err != nil {
			return scanner.Keys{}, storeError("read "+stream.String(), err)
		}
		keys = scanner.EvolveKeys(keys, scanner.RecordedKey{Revision: e.Revision, Fact: scanner.ReadKey(e.Type, e.Data)})
	}
	if keys.Facts > known {
		k.mu.Lock()
		if len(k.read) >= maxKeyrings {
			clear(k.read)
		}
		if keys.Facts > k.read[subTaskType].Facts {
			k.read[subTaskType] = keys
		}
		k.mu.Unlock()
	}
	return keys, nil
}

// Admit refuses whoever does not hold a key of the type: scanner_key.missing for what
// is no key at all, scanner_key.refused for one that is not in force.
func (k *Keyring) Admit(ctx context.Context, subTaskType, presented string) error {
	key, ok := scanner.ParseKey(presented)
	if !ok || !task.ValidType(subTaskType) {
		return &domain.Error{Kind: domain.Refused, Rule: "scanner_key.missing",
			Msg:   "a scanner shows its key: Authorization: Bearer fgscan_…; an operator makes one with factgate scanners key TYPE",
			MsgZH: "扫描器须出示密钥：Authorization: Bearer fgscan_…；管理员可用 factgate scanners key TYPE 生成"}
	}
	keys, err := k.Keys(ctx, subTaskType)
	if err != nil {
		return err
	}
	if !keys.Admits(key) {
		return &domain.Error{Kind: domain.Refused, Rule: "scanner_key.refused",
			Msg:   "this key is not in force for " + subTaskType + ": it is another type's, was revoked, or was never issued; ask an operator for one",
			MsgZH: "该密钥对 " + subTaskType + " 无效：可能属于其他类型、已被撤销或从未签发；请向管理员索取"}
	}
	return nil
}
