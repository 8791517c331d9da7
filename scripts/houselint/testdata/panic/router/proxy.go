package router

import "net/http"

func proxy() {
	func() { panic("down") }() // want panic
}

func abort() { panic(http.ErrAbortHandler) }
