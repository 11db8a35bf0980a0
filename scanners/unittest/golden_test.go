package unittest_test

import (
	"fmt"
	"testing"

	"github.com/factgate/factgate/domain/report"
	"github.com/factgate/factgate/scanners/scannertest"
	"github.com/factgate/factgate/scanners/unittest"
)

func TestCases(t *testing.T) {
	scannertest.Cases(t, unittest.New(unittest.Config{}), nil, func(f report.Finding) string {
		return fmt.Sprintf("%s:%d %s", f.Path, f.Line, f.Pointer)
	})
}

func TestAPackageThatCannotBeReadIsNoFinding(t *testing.T) {
	scannertest.Unreadable(t, unittest.New(unittest.Config{}), map[string][]byte{"TEST-a.xml": []byte(`<testsuite><testcase name="a"/></testsuite>`)})
}
