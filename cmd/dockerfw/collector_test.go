package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGarbageIsLimitedByTheMemoryInUse(t *testing.T) {
	for use, want := range map[uint64]int{0: 400, 1 << 20: 400, 32 << 20: 350, 64 << 20: 150, 128 << 20: 50, 256 << 20: 50, 10 << 30: 50} {
		if got := collectorPercent(use); got != want {
			t.Errorf("%d MB in use: %d percent, want %d", use>>20, got, want)
		}
	}
}

func TestTheCollectorFollowsTheMemoryInUse(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	collectByUse()
	large := make([]byte, 200<<20)
	for range 50 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond) // finalizers run beside the program
		percent := debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		if percent < 100 && percent >= minPercent {
			runtime.KeepAlive(large)
			return
		}
	}
	t.Error("the percentage did not change although 200 MB are in use")
}
