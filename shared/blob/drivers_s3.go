//go:build aws

package blob

// drivers are the stores that this build can open.
var drivers = map[string]opener{schemeFile: openFile, "s3": openS3}
