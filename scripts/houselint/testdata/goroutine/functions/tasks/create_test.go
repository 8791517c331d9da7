package tasks

func hammer() { go create() }
