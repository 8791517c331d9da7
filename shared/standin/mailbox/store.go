package mailbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coditect/platform/shared/ids"
)

// kept is a message as it came.
type kept struct {
	ID       string    `json:"id"`
	Received time.Time `json:"received_at"`
	From     string    `json:"from"`
	To       []string  `json:"to"`
	Raw      []byte    `json:"raw"`
}

// store holds the newest messages, in memory and, if it has a folder, one file
// each there.
type store struct {
	dir  string
	keep int

	mu       sync.RWMutex
	messages []kept // oldest first
}

func openStore(dir string, keep int) (*store, error) {
	s := &store{dir: dir, keep: keep}
	if dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mailbox: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("mailbox: %w", err)
	}
	for _, name := range names {
		var m kept
		data, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(data, &m)
		}
		if err != nil || m.ID+".json" != filepath.Base(name) {
			continue // what a crash left of a file is no message
		}
		s.messages = append(s.messages, m)
	}
	// Ids are UUIDv7: their order is that of arrival.
	slices.SortFunc(s.messages, func(a, b kept) int { return cmp.Compare(a.ID, b.ID) })
	err = s.trim()
	return s, err
}

func (s *store) add(from string, to []string, raw []byte) error {
	m := kept{ID: ids.New().String(), Received: time.Now().UTC(), From: from, To: slices.Clone(to), Raw: raw}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		// Under another name until it is whole.
		part := s.path(m.ID) + ".part"
		if err := os.WriteFile(part, data, 0o600); err != nil {
			return err
		}
		if err := os.Rename(part, s.path(m.ID)); err != nil {
			return err
		}
	}
	s.messages = append(s.messages, m)
	return s.trim()
}

func (s *store) path(id string) string { return filepath.Join(s.dir, id+".json") }

func (s *store) trim() error {
	for len(s.messages) > s.keep {
		if err := s.forget(s.messages[0]); err != nil {
			return err
		}
		s.messages = s.messages[1:]
	}
	return nil
}

func (s *store) forget(m kept) error {
	if s.dir == "" {
		return nil
	}
	if err := os.Remove(s.path(m.ID)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// list gives the messages to a recipient, or all, the newest first.
func (s *store) list(to string) []kept {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []kept{}
	for _, m := range slices.Backward(s.messages) {
		if to == "" || slices.ContainsFunc(m.To, func(a string) bool { return strings.EqualFold(a, to) }) {
			out = append(out, m)
		}
	}
	return out
}

func (s *store) get(id string) (kept, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := slices.IndexFunc(s.messages, func(m kept) bool { return m.ID == id })
	if i < 0 {
		return kept{}, false
	}
	return s.messages[i], true
}

func (s *store) clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.messages) > 0 {
		if err := s.forget(s.messages[0]); err != nil {
			return err
		}
		s.messages = s.messages[1:]
	}
	return nil
}
