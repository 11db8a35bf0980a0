package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

const (
	nodeAdminPassword = "FACTGATE_NODE_ADMIN_PASSWORD" //nolint:gosec // the variable's name
	maxUsersFile      = 64 << 10
)

// nodeUsers collects the passwords of a node's users from where other processes do
// not see them. There have to be some if the node is secure, and else none.
func nodeUsers(file string, secure bool, logger *slog.Logger) (map[string]string, error) {
	users := map[string]string{}
	if file != "" {
		if err := readUsers(file, users, logger); err != nil {
			return nil, fmt.Errorf("--users-file: %w", err)
		}
	}
	if password := os.Getenv(nodeAdminPassword); password != "" {
		if _, twice := users["admin"]; twice {
			return nil, fmt.Errorf("admin has a password in %s and another in --users-file: keep one", nodeAdminPassword)
		}
		users["admin"] = password
	}
	switch {
	case secure && len(users) == 0:
		return nil, fmt.Errorf("a node with TLS asks for credentials: put the password of the user admin into %s, or name a --users-file", nodeAdminPassword)
	case !secure && len(users) > 0:
		return nil, fmt.Errorf("users need --tls-cert and --tls-key: without them nobody is asked for a password (%s or --users-file is set)", nodeAdminPassword)
	}
	return users, nil
}

// readUsers reads NAME:PASSWORD lines. Empty lines and those that begin with # say
// nothing; what is behind the first colon is the password, as it stands.
func readUsers(file string, users map[string]string, logger *slog.Logger) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
		logger.Warn("everybody on this machine may read the passwords: chmod o-r", "file", file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxUsersFile+1))
	if err != nil {
		return err
	}
	if len(text) > maxUsersFile {
		return fmt.Errorf("%s has more than %d bytes", file, maxUsersFile)
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		if !ok || name == "" || password == "" {
			// The line itself may be a password: it is not shown.
			return fmt.Errorf("%s:%d is no NAME:PASSWORD", file, number)
		}
		if _, twice := users[name]; twice {
			return fmt.Errorf("%s:%d names user %q again", file, number, name)
		}
		users[name] = password
	}
	if len(users) == 0 {
		return errors.New(file + " names no user")
	}
	return nil
}
