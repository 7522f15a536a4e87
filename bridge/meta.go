package bridge

// meta is the JSON on …/meta. Its order is the order in which people read it.
type meta struct {
	Name         string       `json:"name"`
	Manufacturer string       `json:"manufacturer,omitempty"`
	Model        string       `json:"model,omitempty"`
	Serial       string       `json:"serial,omitempty"`
	Version      string       `json:"version,omitempty"`
	Status       string       `json:"status"`
	Entities     []entityMeta `json:"entities"`
}

type entityMeta struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Kind    Kind     `json:"kind"`
	Class   string   `json:"class,omitempty"`
	Unit    string   `json:"unit,omitempty"`
	Min     *float64 `json:"min,omitempty"`
	Max     *float64 `json:"max,omitempty"`
	Options []string `json:"options,omitempty"`
	Events  []string `json:"events,omitempty"`
	Topics  topics   `json:"topics"`

	StateClass StateClass `json:"state_class,omitempty"`
}

// topics are those that an entity has.
type topics struct {
	State    string `json:"state,omitempty"`
	Position string `json:"position,omitempty"`
	Attr     string `json:"attr"`
	Set      string `json:"set,omitempty"`
	Result   string `json:"result,omitempty"`
	Event    string `json:"event,omitempty"`
}

func describe(d Device) meta {
	m := meta{
		Name: d.Name, Manufacturer: d.Manufacturer, Model: d.Model, Serial: d.Serial, Version: d.Version,
		Status: d.Base.Status(), Entities: make([]entityMeta, 0, len(d.Entities)),
	}
	if m.Name == "" {
		m.Name = d.Base.name()
	}
	for _, e := range d.Entities {
		m.Entities = append(m.Entities, describeEntity(d.Base, e))
	}
	return m
}

func describeEntity(base Base, e Entity) entityMeta {
	m := entityMeta{
		ID: e.ID, Name: e.Name, Kind: e.Kind, Class: e.Class, Unit: e.Unit,
		Min: e.Min, Max: e.Max, Options: e.Options, Events: e.Events,
		StateClass: e.StateClass,
		Topics:     topics{Attr: base.Attr(e.ID)},
	}
	if m.Name == "" {
		m.Name = e.ID
	}
	if e.Kind.hasState() {
		m.Topics.State = base.State(e.ID)
	}
	if e.Kind == Cover {
		m.Topics.Position = base.Position(e.ID)
	}
	if e.Command {
		m.Topics.Set, m.Topics.Result = base.Set(e.ID), base.Result(e.ID)
	}
	if len(e.Events) > 0 {
		m.Topics.Event = base.Event(e.ID)
	}
	return m
}
