package router

func proxy() {
	func() { panic("down") }() // want panic
}
