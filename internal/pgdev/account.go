package pgdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is whom the server runs as.
type account struct {
	uid, gid int
	drop     bool // we are root and have to become this account
}

// chooseAccount keeps to the owner of an existing cluster, so that a user
// "postgres" that appears with a later package, or a sudo, does not lock us out
// of what is there.
func chooseAccount(base *os.Root) (account, error) {
	us := os.Geteuid()
	st, err := base.Stat("data")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if us != 0 {
			return account{uid: us, gid: os.Getegid()}, nil
		}
		return unprivileged(), nil
	case err != nil:
		return account{}, err
	}
	owner := st.Sys().(*syscall.Stat_t)
	a := account{uid: int(owner.Uid), gid: int(owner.Gid), drop: us == 0}
	switch {
	case a.uid == 0 && us == 0:
		return account{}, fmt.Errorf("the cluster %[1]s/data belongs to root, as whom PostgreSQL refuses to run; give it back to its account (chown -R %[2]d:%[3]d %[1]s/data)",
			base.Name(), unprivileged().uid, unprivileged().gid)
	case a.uid != us && us != 0:
		return account{}, fmt.Errorf("the cluster %s/data belongs to uid %d and we are uid %d; run factgate as its owner or as root, or give it another folder with --data", base.Name(), a.uid, us)
	}
	return a, nil
}

func unprivileged() account {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil && uid > 0 {
			return account{uid: uid, gid: gid, drop: true}
		}
	}
	return account{uid: 65534, gid: 65534, drop: true}
}
