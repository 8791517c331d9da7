package api

func New() { panic("an operation without a permission") }
