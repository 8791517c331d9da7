package main

import _ "google.golang.org/api/idtoken"

func main() {}
