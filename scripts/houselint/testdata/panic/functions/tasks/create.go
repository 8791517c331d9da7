package tasks

func create(n int) int {
	if n < 0 {
		panic("negative") // want panic
	}
	//house:allow panic the framework recovers this value to end the connection
	panic(nil)
}

func mustParse(s string) string {
	if s == "" {
		panic("empty")
	}
	return s
}
