package tasks

import (
	"time"
	clock "time"
)

func wait() {
	time.Sleep(time.Second)  // want test-sleep
	clock.Sleep(time.Second) // want test-sleep
	<-time.After(time.Second)
}

func poll(ready func() bool) {
	for !ready() {
		time.Sleep(time.Millisecond)
	}
	for range 3 {
		time.Sleep(time.Millisecond) // want test-sleep
	}
}

func count(list []int) {
	for deadline := time.Now(); !time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	for i := 0; i < len(list); i++ {
		time.Sleep(time.Millisecond) // want test-sleep
	}
	for {
		time.Sleep(time.Millisecond) // want test-sleep
	}
}
