package main

import _ "github.com/coditect/platform/functions/tasks"

func main() {}
