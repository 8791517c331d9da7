package tasks

func create() {
	go notify() // want goroutine
	func() {
		go notify() // want goroutine
	}()
}

func notify() {}
