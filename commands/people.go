package commands

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/person"
	"github.com/factgate/factgate/eventstore"
)

// people are the persons of this installation, as far as they are known here: the
// directory, and the names in it. What others add to it or erase is known here
// after peopleAge at the latest.
type people struct {
	// writing lets one at a time read on in the log, or write.
	writing   sync.Mutex
	directory person.Directory
	nameless  map[person.KeyID]bool // in the directory, and their key is not read yet
	destroyed map[person.KeyID]bool // keys of which it is certain

	mu     sync.RWMutex
	names  map[person.KeyID]named
	tokens map[string]string // by name
	erased map[person.KeyID]bool
	read   time.Time // when the log was last read to its end; zero: never
	tried  time.Time // when that was last begun and came to an end, good or bad
}

type named struct{ name, token string }

const (
	// peopleAge is how old what is known of people may be.
	peopleAge = time.Second
	// peoplePatience is how long whoever wants to see a name waits for the log.
	peoplePatience = time.Second
	// keyReaders is how many keys are read at once, at the start.
	keyReaders = 16
)

// peopleFacts is the name space of the ids of facts of persons.
var peopleFacts = eventstore.ID(uuid.MustParse("8d0f5a53-5a5e-5c0b-8f64-2f7a3b0e9c41"))

var directoryStream = eventstore.StreamID{Category: person.Category, Key: person.DirectoryKey}

func keyStream(id person.KeyID) eventstore.StreamID {
	return eventstore.StreamID{Category: person.Category, Key: string(id)}
}

// Pseudonym returns the token under which facts may speak of a person; the same one
// for the same name, until the person is erased. White space around the name does
// not count, and no name has no token. A new person's key and token are durable when
// it returns.
func (c *Commands) Pseudonym(ctx context.Context, name string) (string, error) {
	if name = strings.TrimSpace(name); name == "" {
		return "", nil
	}
	if len(name) > person.MaxName {
		return "", &domain.Error{Kind: domain.Invalid, Rule: "person.name", Msg: "the name of a person is too long", MsgZH: "人员名称过长"}
	}
	p := &c.people
	if token, fresh := p.tokenOf(name); fresh && token != "" {
		return token, nil
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	var fresh person.Token
	for range maxConflicts {
		if err := c.readPeople(ctx); err != nil {
			return "", err
		}
		if token, _ := p.tokenOf(name); token != "" {
			return token, nil
		}
		if fresh.KeyID == "" {
			var err error
			if fresh, err = c.newKey(ctx, name); err != nil {
				return "", err
			}
		}
		named := person.PersonNamed{KeyID: fresh.KeyID, Token: fresh.String()}
		switch conflict, err := c.enter(ctx, named); {
		case err != nil:
			return "", err
		case conflict:
			continue
		}
		p.know(fresh, name)
		return named.Token, nil
	}
	return "", busyPeople()
}

// newKey draws a key for a name and makes it durable. Should nothing more come of
// it, a key stays behind that opens nothing.
func (c *Commands) newKey(ctx context.Context, name string) (person.Token, error) {
	var id [16]byte
	var key [person.KeySize]byte
	var nonce [person.NonceSize]byte
	for _, b := range [][]byte{id[:], key[:], nonce[:]} {
		_, _ = rand.Read(b) // it never fails
	}
	token, err := person.Seal(person.NewKeyID(id), key, nonce, name)
	if err != nil {
		return person.Token{}, err
	}
	events, err := encodePeople(person.PersonKeyed{KeyID: token.KeyID, Secret: key[:]})
	if err != nil {
		return person.Token{}, err
	}
	if _, err := c.append(ctx, keyStream(token.KeyID), eventstore.NoStream(), events); err != nil {
		return person.Token{}, storeError("append a person's key", err)
	}
	return token, nil
}

// enter appends facts to the directory as it is known. The caller holds writing.
func (c *Commands) enter(ctx context.Context, facts ...person.Fact) (conflict bool, err error) {
	p := &c.people
	events, err := encodePeople(facts...)
	if err != nil {
		return false, err
	}
	expected := eventstore.NoStream()
	if p.directory.Facts > 0 {
		expected = eventstore.At(p.directory.Facts - 1)
	}
	_, err = c.append(ctx, directoryStream, expected, events)
	var other *eventstore.ConflictError
	switch {
	case errors.As(err, &other):
		return true, pause(ctx)
	case err != nil:
		return false, storeError("append to "+directoryStream.String(), err)
	}
	for _, f := range facts {
		p.directory.Evolve(p.directory.Facts, f)
	}
	return false, nil
}

func encodePeople(facts ...person.Fact) ([]eventstore.Event, error) {
	events := make([]eventstore.Event, len(facts))
	for i, f := range facts {
		name, data, err := person.Encode(f)
		if err != nil {
			return nil, err
		}
		events[i] = eventstore.Event{ID: eventstore.DeriveID(peopleFacts, f.Key()), Type: name, Data: data, Metadata: []byte("{}")}
	}
	return events, nil
}

// readPeople reads what is new in the directory, and the keys of those that it
// names. The caller holds writing.
func (c *Commands) readPeople(ctx context.Context) error {
	p := &c.people
	if p.nameless == nil {
		p.nameless, p.destroyed = map[person.KeyID]bool{}, map[person.KeyID]bool{}
	}
	var failure error
	for r, err := range c.log.ReadStream(ctx, directoryStream, p.directory.Facts) {
		if eventstore.IsNotFound(err) {
			break
		}
		if err != nil {
			failure = storeError("read "+directoryStream.String(), err)
			break
		}
		f := person.Read(r.Type, r.Data)
		p.directory.Evolve(r.Revision, f)
		switch f := f.(type) {
		case person.PersonNamed:
			p.nameless[f.KeyID] = true
		case person.PersonErased:
			delete(p.nameless, f.KeyID)
			p.forget(f.KeyID)
		}
	}
	if failure == nil {
		failure = c.readKeys(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried = time.Now()
	if failure == nil {
		p.read = p.tried
	}
	return failure
}

// readKeys reads the keys of the nameless, some at once.
func (c *Commands) readKeys(ctx context.Context) error {
	p := &c.people
	if len(p.nameless) == 0 {
		return nil
	}
	type read struct {
		token person.Token
		name  string
		err   error
	}
	tokens, found := make(chan person.Token), make(chan read)
	var readers sync.WaitGroup
	for range min(keyReaders, len(p.nameless)) {
		readers.Go(func() {
			for t := range tokens {
				name, err := c.open(ctx, t)
				found <- read{t, name, err}
			}
		})
	}
	var wanted []person.Token
	for id := range p.nameless {
		if t, ok := p.directory.Tokens[id]; ok {
			wanted = append(wanted, t)
		} else {
			delete(p.nameless, id) // what names it is no token of it
		}
	}
	go func() {
		for _, t := range wanted {
			tokens <- t
		}
		close(tokens)
		readers.Wait()
		close(found)
	}()
	var failure error
	for r := range found {
		if r.err != nil {
			failure = r.err
			continue
		}
		delete(p.nameless, r.token.KeyID)
		if r.name != "" {
			p.know(r.token, r.name)
		}
	}
	return failure
}

// open reads the key of a token and opens it; without a name if that is not
// possible any more.
func (c *Commands) open(ctx context.Context, t person.Token) (string, error) {
	for r, err := range c.log.ReadStream(ctx, keyStream(t.KeyID), 0) {
		switch {
		case eventstore.IsDeleted(err), eventstore.IsNotFound(err):
			return "", nil
		case err != nil:
			return "", storeError("read a person's key", err)
		}
		if k, ok := person.Read(r.Type, r.Data).(person.PersonKeyed); ok {
			if name, err := t.Open([person.KeySize]byte(k.Secret)); err == nil {
				return name, nil
			}
		}
	}
	return "", nil
}

// PersonState says what is known of whoever a fact names.
type PersonState int

const (
	// Named: the name is known. So is every text that is no token, such as that of a
	// process or of a fact that was written before there were tokens.
	Named PersonState = iota
	// Erased: the name is forgotten for good.
	Erased
	// Unnamed: the name cannot be read now.
	Unnamed
)

// NameOf returns the name that a text in a fact stands for, or else a pseudonym
// which tells the person apart from others. It asks the log at most once a second,
// and gives up on it soon: a name is not worth failing for.
func (c *Commands) NameOf(ctx context.Context, text string) (string, PersonState) {
	t, ok := person.ParseToken(text)
	if !ok {
		return text, Named
	}
	p := &c.people
	if !p.asked() {
		p.writing.Lock()
		if !p.asked() { // nobody else has just done it
			ctx, cancel := context.WithTimeout(ctx, peoplePatience)
			_ = c.readPeople(ctx) // a name that is not known is shown so
			cancel()
		}
		p.writing.Unlock()
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	// A token is somebody's only as the directory has it: nobody borrows another's name.
	if n, known := p.names[t.KeyID]; known && n.token == text {
		return n.name, Named
	}
	if p.erased[t.KeyID] {
		return t.KeyID.Short(), Erased
	}
	return t.KeyID.Short(), Unnamed
}

// asked reports whether the log was asked of late, be it in vain: a name that is to
// be shown does not wait for it again so soon.
func (p *people) asked() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return time.Since(p.tried) < peopleAge
}

func (p *people) tokenOf(name string) (token string, fresh bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.tokens[name], time.Since(p.read) < peopleAge
}

func (p *people) know(t person.Token, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names, p.tokens = map[person.KeyID]named{}, map[string]string{}
	}
	n := named{name, t.String()}
	p.names[t.KeyID] = n
	if _, known := p.tokens[name]; !known {
		p.tokens[name] = n.token
	}
}

func (p *people) forget(id person.KeyID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.erased == nil {
		p.erased = map[person.KeyID]bool{}
	}
	p.erased[id] = true
	n, known := p.names[id]
	if !known {
		return
	}
	delete(p.names, id)
	if p.tokens[n.name] == n.token {
		delete(p.tokens, n.name)
	}
}

// PersonErased is what came of erasing a person.
type PersonErased struct {
	KeyIDs  []person.KeyID // that were destroyed by this wish
	Changed bool
	Clear   ClearText
}

// ErasePerson forgets a name: first the directory says so, by whom and why, then
// the key is destroyed. Nobody who has the log can read the name in its facts from
// then on, once the log's own scavenge has taken the key from the disk. A name that
// nobody has, or has any more, is silence; but a key whose destruction was
// interrupted is destroyed by whoever comes next. By is a token.
//
// The answer counts the facts that hold the name in clear text, as facts did before
// there were tokens; they stay as they are.
func (c *Commands) ErasePerson(ctx context.Context, name, reason, by string) (PersonErased, error) {
	var done PersonErased
	if name = strings.TrimSpace(name); name == "" {
		return done, &domain.Error{Kind: domain.Invalid, Rule: "person.name", Msg: "say whom", MsgZH: "请给出人员名称"}
	}
	ids, err := c.erase(ctx, name, reason, by)
	if err != nil {
		return done, err
	}
	done.KeyIDs, done.Changed = ids, len(ids) > 0
	done.Clear, err = c.clearText(ctx, name)
	return done, err
}

func (c *Commands) erase(ctx context.Context, name, reason, by string) ([]person.KeyID, error) {
	p := &c.people
	p.writing.Lock()
	defer p.writing.Unlock()
	for range maxConflicts {
		if err := c.readPeople(ctx); err != nil {
			return nil, err
		}
		wish := person.Erase{KeyIDs: p.keysOf(name), Reason: reason, By: by}
		facts, err := person.Decide(&p.directory, wish)
		if err != nil {
			return nil, err
		}
		if len(facts) > 0 {
			switch conflict, err := c.enter(ctx, facts...); {
			case err != nil:
				return nil, err
			case conflict:
				continue
			}
		}
		for _, id := range wish.KeyIDs {
			p.forget(id)
		}
		return wish.KeyIDs, c.destroyKeys(ctx)
	}
	return nil, busyPeople()
}

// keysOf lists the keys of a name, of which there is one, unless another was entered
// while it could not be read.
func (p *people) keysOf(name string) (ids []person.KeyID) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for id, n := range p.names {
		if n.name == name {
			ids = append(ids, id)
		}
	}
	return ids
}

// destroyKeys deletes the keys of all that are erased, also those of which only the
// directory says so yet. The caller holds writing.
func (c *Commands) destroyKeys(ctx context.Context) error {
	p := &c.people
	for id := range p.directory.Erased {
		if p.destroyed[id] {
			continue
		}
		if err := c.log.Tombstone(ctx, keyStream(id)); err != nil {
			return &domain.Error{Kind: domain.Unavailable, Rule: "person.key_remains", Err: err,
				Msg:   "the erasure is recorded, but the key is not destroyed yet; erase the person again in a moment",
				MsgZH: "已记录删除，但密钥尚未销毁；请稍后再次执行删除"}
		}
		p.destroyed[id] = true
	}
	return nil
}

// TendPeople is the start of a process that shows names: it reads the directory,
// and destroys the keys that an interrupted erasure has left.
func (c *Commands) TendPeople(ctx context.Context) error {
	c.people.writing.Lock()
	defer c.people.writing.Unlock()
	if err := c.readPeople(ctx); err != nil {
		return err
	}
	return c.destroyKeys(ctx)
}

func busyPeople() error {
	return &domain.Error{Kind: domain.Conflict, Rule: "person.busy",
		Msg: "too many new persons at once; try again", MsgZH: "同时登记的人员过多，请重试"}
}
