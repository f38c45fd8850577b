//go:build tools

// Names the program, so that `go.sum` says what it is built from.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
