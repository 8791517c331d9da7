package tests

import "time"

func settle() { time.Sleep(1) } // want test-sleep
