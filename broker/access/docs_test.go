package access_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"edge/broker/access"
	"edge/internal/config"
)

// page returns docs/access.md.
func page(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The example of the page is a policy, and means what the page says.
func TestExampleOfThePage(t *testing.T) {
	_, text, _ := strings.Cut(page(t), "```yaml fragment\n")
	text, _, _ = strings.Cut(text, "```")
	var file struct {
		Access access.Config `yaml:"access"`
	}
	tree, err := config.Parse("edge.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Decode(&file); err != nil {
		t.Fatal(err)
	}
	p, err := access.Compile(file.Access, "edge/shed", func(path string) string { return tree.Where("access." + path) })
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		user, want string
		a          access.Action
		what       string
	}{
		{"anna", "allowed: role garden allows garden/#, edge.yaml:5", access.Publish, "garden/tap"},
		{"anna", "allowed: role garden allows %u/state, edge.yaml:5", access.Publish, "anna/state"},
		{"anna", "denied: role garden denies edge/shed/relay/pump/# (entity relay:pump), edge.yaml:7", access.Publish, "edge/shed/relay/pump/set"},
		{"anna", "allowed: role garden allows garden/#, edge.yaml:5", access.Subscribe, "garden/+/tap"},
		{"anna", "allowed: role viewer allows #, a ready role", access.Subscribe, "#"},
		{"anna", "denied: role garden denies garden/secret/#, edge.yaml:9", access.Subscribe, "garden/secret/#"},
		{"anna", "denied: role garden denies garden/secret/#, edge.yaml:9", access.Receive, "garden/secret/x"},
		{"bert", "allowed: role operator:relay:pump allows edge/shed/relay/pump/set (entity relay:pump), a ready role", access.Publish, "edge/shed/relay/pump/set"},
		{"carl", "allowed: role sensor allows sensors/%u/#, a ready role", access.Publish, "sensors/carl/x"},
		{"", "denied: no rule allows it", access.Publish, "sensors/carl/x"},
	}
	for _, tt := range tests {
		d := p.For(access.Principal{Name: tt.user, Roles: p.RolesOf(tt.user)}).Ask(tt.a, tt.what)
		if got := d.String(); got != tt.want {
			t.Errorf("%q: %v %s: %s, want %s", tt.user, tt.a, tt.what, got, tt.want)
		}
	}
}

// Every ready role is on the page, and every entity there has the topics it has.
func TestTablesOfThePage(t *testing.T) {
	p, err := access.Compile(access.Config{}, "edge/shed", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range p.Roles() {
		if !strings.Contains(page(t), "\n| `"+role+"` |") {
			t.Errorf("docs/access.md does not say what %s may do", role)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\S+:\\S+)` \\| `(edge\\S+)` \\| `(edge\\S+)` \\|$").FindAllStringSubmatch(page(t), -1)
	if len(rows) < 3 {
		t.Fatalf("found %d rows of entities, want 3", len(rows))
	}
	for _, row := range rows {
		v := p.For(access.Principal{Roles: []string{"operator:" + row[1]}})
		for what, d := range map[string]access.Decision{row[2]: v.Publish(strings.ReplaceAll(row[2], "+", "x")), row[3]: v.Subscribe(row[3])} {
			if !d.Allowed || d.Reason.Filter != what {
				t.Errorf("%s: %s: %v", row[1], what, d)
			}
		}
	}
}
