package pgdev

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
)

const (
	logName     = "postgres.log"
	logLimit    = 4 << 20 // bytes; then it becomes postgres.log.1, and the older one goes
	logTail     = 25      // lines kept for errors
	logLineKept = 500     // bytes of each
)

// serverLog keeps what one server process says: in a file of bounded size, and
// the last lines in memory. We read it through a pipe and do not let the server
// write the file, because as root we run it under a foreign account, and because
// its own rotation bounds age, not size.
//
// A full disk costs log lines, never the server: consume drains to the end.
type serverLog struct {
	base *os.Root
	note func(line string) // called with every line; must not block

	mu   sync.Mutex
	tail []string
}

// consume reads until every process of the server has closed its end.
func (l *serverLog) consume(r io.Reader) {
	f, size := l.open()
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadSlice('\n') // a longer line comes in pieces
		if len(line) > 0 {
			if f != nil && size+int64(len(line)) > logLimit {
				f.Close()
				_ = l.base.Rename(logName, logName+".1") // on failure we append to it
				f, size = l.open()
			}
			if f != nil {
				n, _ := f.Write(line)
				size += int64(n)
			}
			l.keep(strings.TrimRight(string(line[:min(len(line), logLineKept)]), "\r\n"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (l *serverLog) open() (*os.File, int64) {
	f, err := l.base.OpenFile(logName, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&fs.ModeType != 0 {
		f.Close()
		return nil, 0
	}
	if os.Geteuid() == 0 { // in a folder of somebody else's it shall not lock them out
		if dir, err := l.base.Stat("."); err == nil {
			owner := dir.Sys().(*syscall.Stat_t)
			_ = f.Chown(int(owner.Uid), int(owner.Gid))
		}
	}
	return f, st.Size()
}

func (l *serverLog) keep(line string) {
	l.mu.Lock()
	if len(l.tail) == logTail {
		l.tail = append(l.tail[:0], l.tail[1:]...)
	}
	l.tail = append(l.tail, line)
	l.mu.Unlock()
	if l.note != nil {
		l.note(line)
	}
}

func (l *serverLog) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.tail...)
}
