package main

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestAdminPage has the page list the commands that there are.
func TestAdminPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, there []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z ]+)` \\|").FindAllSubmatch(page, -1) {
		listed = append(listed, string(row[1]))
	}
	for name := range adminCommands {
		there = append(there, name)
	}
	slices.Sort(listed)
	slices.Sort(there)
	if !slices.Equal(listed, there) {
		t.Errorf("docs/admin.md has the commands\n%q, and there are\n%q", listed, there)
	}
}
