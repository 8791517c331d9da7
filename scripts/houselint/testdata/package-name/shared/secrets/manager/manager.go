// Package manager speaks to Secret Manager.
package manager
