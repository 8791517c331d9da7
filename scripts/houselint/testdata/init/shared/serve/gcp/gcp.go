package gcp

import "github.com/GoogleCloudPlatform/functions-framework-go/functions"

func init() { functions.HTTP("X", nil) } // want init

type pool struct{}

func (pool) init() {}
