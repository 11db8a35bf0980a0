//go:build !linux

package external

import (
	"context"
	"os"
	"os/exec"

	"github.com/factgate/factgate/domain/report"
)

// Enter returns at once: there are no boxes on this system.
func Enter() {}

// box shuts nothing in on this system.
type box struct{ exposed report.Text }

func newBox(context.Context, *Definition, []string, []string) (box, error) {
	return box{exposed: report.Text{
		En: "it has the network of this machine and no limit of memory, can read what Factgate's user can, and may leave processes behind: only Linux has what it takes. Run Factgate on Linux, or trust the program",
		Zh: "可访问本机网络、不受内存限制、可读取 Factgate 用户有权读取的一切，并可能遗留进程：只有 Linux 支持隔离。请在 Linux 上运行 Factgate，或仅使用可信程序",
	}}, nil
}

func (box) inside(w work) (files, home string) { return w.files(), w.home() }

func (box) start(cmd *exec.Cmd, _ call) (scratch *os.File, err error) { return nil, cmd.Start() }

func (box) sweep(*exec.Cmd) {}

func (box) hint() string { return "" }

func used(int) int64 { return 0 }

func full(*os.File) bool { return false }
