// Package router has its CPU always on and flushes when it is told to stop.
package router

func start() { go start() }
