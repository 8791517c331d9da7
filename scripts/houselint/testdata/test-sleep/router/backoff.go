package router

import "time"

func backoff() { time.Sleep(1) }
