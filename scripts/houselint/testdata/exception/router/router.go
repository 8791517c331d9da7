package router

func serve() {
	panic("a") //house:allow panic the server ends the connection by it
	//house:allow panic // want exception
	panic("b") // want panic
	//house:allow speed it is faster // want exception
	//house:allow panic nothing below panics // want exception
}
