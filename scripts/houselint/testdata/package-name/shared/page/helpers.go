// A file may be named for its place; packages are what importers see.
package page
