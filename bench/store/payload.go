package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
)

const (
	payloadSize = 395
	eventType   = "SubTaskCompleted"
)

// payloads are facts as a scanner writes them: mostly digests and counts, which no
// store can make much smaller. They are the same in every run.
func payloads() [][]byte {
	random := rand.New(rand.NewPCG(395, 6400))
	digest := func(n int) string {
		b := make([]byte, n/2)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return hex.EncodeToString(b)
	}
	all := make([][]byte, 1024)
	for i := range all {
		head := fmt.Sprintf(`{"taskId":"%s","subTaskType":"SQL","attempt":%d,"result":"PASS_WITH_WARNINGS","summary":{"error":0,"warning":%d},"coverage":{"eligible":%d,"seen":%d},"report":{"key":"%s","sha256":"%s"},"durationMs":%d,"config":"`,
			digest(32), 1+i%3, random.IntN(900), random.IntN(900), random.IntN(900), digest(40), digest(64), random.IntN(90_000))
		tail := `"}`
		all[i] = []byte(head + digest(2 * payloadSize)[:payloadSize-len(head)-len(tail)] + tail)
	}
	return all
}
