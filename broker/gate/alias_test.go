package gate

import (
	"strings"
	"testing"

	"edge/broker/journal"
)

// TestAliasesFromClient publishes by aliases: the message goes to the topic that
// belongs to the alias at the time.
func TestAliasesFromClient(t *testing.T) {
	c := dial(t, engine(journal.Memory{}))
	say(t, c, connect5+"82 07 0001 00 0001 23 02")
	hear(t, c, connack5, "90 03 0001 02")
	for _, tt := range []struct{ name, say, hear string }{
		{"set", "30 08 0001 61 03 23 0001 78", "30 05 0001 61 00 78"},
		{"the last there is", "30 08 0001 62 03 23 0010 78", "30 05 0001 62 00 78"},
		{"use", "30 07 0000 03 23 0001 79", "30 05 0001 61 00 79"},
		{"QoS 1", "32 09 0000 0007 03 23 0010 79", "32 07 0001 62 0001 00 79"},
		{"change", "30 08 0001 63 03 23 0001 78", "30 05 0001 63 00 78"},
		{"use again", "30 07 0000 03 23 0001 79", "30 05 0001 63 00 79"},
		{"without", "30 05 0001 61 00 78", "30 05 0001 61 00 78"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			say(t, c, tt.say)
			if tt.name == "QoS 1" {
				hear(t, c, tt.hear, "40 02 0007")
				return
			}
			hear(t, c, tt.hear)
		})
	}
}

// TestAliasesToClient has a client that takes one alias, and packets of 22 bytes.
func TestAliasesToClient(t *testing.T) {
	c := dial(t, engine(journal.Memory{}))
	say(t, c, "10 18 0004 4d515454 05 02 0000 0a 17 00 22 0001 27 00000018 0001 63 82 07 0001 00 0001 23 02")
	hear(t, c, connack5, "90 03 0001 02")
	for _, tt := range []struct{ name, say, hear string }{
		{"a topic as short as an alias", "30 05 0001 61 00 78", "30 05 0001 61 00 78"},
		{"first", "30 09 0005 746f706963 00 78", "30 0c 0005 746f706963 03 23 0001 78"},
		{"second", "30 09 0005 746f706963 00 79", "30 07 0000 03 23 0001 79"},
		{"another topic, while the first is used", "30 09 0005 6f74686572 00 78", "30 09 0005 6f74686572 00 78"},
		{"another topic, which is used now", "30 09 0005 6f74686572 00 78", "30 0c 0005 6f74686572 03 23 0001 78"},
		{"the first again", "30 09 0005 746f706963 00 78", "30 0c 0005 746f706963 03 23 0001 78"},
		{
			"one that is too large with a new alias", "30 14 0005 6f74686572 00" + strings.Repeat("78", 12),
			"30 14 0005 6f74686572 00" + strings.Repeat("78", 12),
		},
		{"the alias that could not be sent is not known", "30 09 0005 6f74686572 00 78", "30 0c 0005 6f74686572 03 23 0001 78"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			say(t, c, tt.say)
			hear(t, c, tt.hear)
		})
	}
}

func TestAliasesMakeRoom(t *testing.T) {
	var a aliases
	for _, tt := range []struct {
		topic string
		want  alias
	}{
		{"one/x", alias{1, false}},
		{"two/x", alias{2, false}},
		{"one/x", alias{1, true}},
		{"three", alias{}}, // One has a second chance.
		{"three", alias{2, false}},
		{"four/", alias{1, false}},
		{"three", alias{2, true}},
		{"one/x", alias{}},
		{"one/x", alias{1, false}},
	} {
		if got := a.of(tt.topic, 2); got != tt.want {
			t.Fatalf("alias of %s is %v, want %v; there are %v", tt.topic, got, tt.want, a.topics)
		}
	}
	if len(a.known) != 2 || len(a.topics) != 2 {
		t.Errorf("%d known, %d topics, want 2", len(a.known), len(a.topics))
	}
}
