// Reads dashboards strictly: a key that Grafana's library does not know, a value of the wrong type or one that is missing
// is an error. tests/components/dashcheck.sh builds it.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var board dashboard.Dashboard
	// The library may give an error that says nothing, for a panel in which nothing is wrong.
	if err := board.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err
	}
	if err := board.Validate(); err != nil && err.Error() != "" {
		return err
	}
	// A file that was not understood would be an empty dashboard.
	if len(board.Panels) == 0 {
		return fmt.Errorf("no panels")
	}
	return nil
}

func main() {
	// Kinds of panels and of queries.
	plugins.RegisterDefaultPlugins()
	status := 0
	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			fmt.Fprintf(os.Stderr, "error: %s: %v\n", file, err)
			status = 1
		}
	}
	os.Exit(status)
}
