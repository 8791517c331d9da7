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
