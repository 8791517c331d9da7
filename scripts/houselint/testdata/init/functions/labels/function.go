package labels

import "github.com/GoogleCloudPlatform/functions-framework-go/functions"

var ready bool

func init() { // want init
	functions.HTTP("Labels", nil)
	ready = true
}

func init() { ready = true } // want init

func init() { prepare() } // want init

func prepare() {}
