package access

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"edge/internal/config"
)

// ReadDynamicSecurity reads the JSON file of mosquitto's dynamic security plugin:
// roles, who has them, directly or by a group, and the hashes of their passwords,
// as they are. Name is for messages. Where priorities put an allowance above a denial, the
// denial wins here, and a warning says so. The error is of type config.Errors
// and has all mistakes.
func ReadDynamicSecurity(name string, data []byte) (Imported, error) {
	r := dynReader{
		file: jsonFile{name, data}, im: Imported{file: name},
		roles: make(map[string]*dynRole), groups: make(map[string]*dynGroup),
	}
	r.read()
	if len(r.errs) == 0 {
		r.convert()
	}
	return r.im.finish(r.errs)
}

// dynRole is a role. Its ACLs are in the order in which they are asked.
type dynRole struct {
	Rolename string `json:"rolename"`

	name string // of the role that it becomes
	acls []*dynACL
}

type dynACL struct {
	Type     string `json:"acltype"`
	Topic    string `json:"topic"`
	Priority int    `json:"priority"`
	Allow    bool   `json:"allow"`

	at     jsonValue
	action Action
	above  *dynACL // an allowance of the same that is asked first
	needed bool    // a denial without which something were allowed
}

// dynGiven is a role of a client or group, or a group of a client.
type dynGiven struct {
	Role     string `json:"rolename"`
	Group    string `json:"groupname"`
	Username string `json:"username"`
	Priority *int   `json:"priority"` // -1 if absent
}

func (g dynGiven) priority() int {
	if g.Priority == nil {
		return -1
	}
	return *g.Priority
}

type dynGroup struct {
	Groupname string     `json:"groupname"`
	Roles     []dynGiven `json:"roles"`
	Clients   []dynGiven `json:"clients"`

	at jsonValue
}

type dynClient struct {
	Username string     `json:"username"`
	ClientID string     `json:"clientid"`
	Disabled bool       `json:"disabled"`
	Roles    []dynGiven `json:"roles"`
	Groups   []dynGiven `json:"groups"`

	Encoded    string `json:"encoded_password"` // since 2.1; before, it is in three parts
	Password   string `json:"password"`
	Salt       string `json:"salt"`
	Iterations int    `json:"iterations"`

	at jsonValue
}

// hash returns what is kept of the password, as a password_file has it.
func (c *dynClient) hash() string {
	if c.Encoded != "" || c.Password == "" {
		return c.Encoded
	}
	return fmt.Sprintf("$7$%d$%s$%s", c.Iterations, c.Salt, c.Password)
}

type dynReader struct {
	file jsonFile
	im   Imported
	errs config.Errors

	roles     map[string]*dynRole
	order     []*dynRole // as in the file
	groups    map[string]*dynGroup
	clients   []*dynClient
	anonymous string // a group
	defaults  struct {
		Publish     bool `json:"publishClientSend"`
		Receive     bool `json:"publishClientReceive"`
		Subscribe   bool `json:"subscribe"`
		Unsubscribe bool `json:"unsubscribe"`
	}
}

// read takes the file apart.
func (r *dynReader) read() {
	whole := jsonValue{raw: r.file.data}
	if !json.Valid(r.file.data) {
		err := json.Unmarshal(r.file.data, new(any))
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			whole.start = int(syntax.Offset) - 1
		}
		r.errs = append(r.errs, r.file.errorf(whole, "cannot be read as JSON: %v", err))
		return
	}
	r.defaults.Unsubscribe = true
	r.each(whole, func(key string, v jsonValue) {
		switch key {
		case "defaultACLAccess":
			r.decode(v, &r.defaults)
		case "anonymousGroup":
			r.decode(v, &r.anonymous)
		case "roles":
			r.each(v, r.role)
		case "groups":
			r.each(v, r.group)
		case "clients":
			r.each(v, r.client)
		}
	})
}

func (r *dynReader) each(v jsonValue, visit func(string, jsonValue)) {
	if err := v.walk(visit); err != nil {
		r.errs = append(r.errs, r.file.errorf(v, "%v", err))
	}
}

func (r *dynReader) decode(v jsonValue, into any) {
	if err := json.Unmarshal(v.raw, into); err != nil {
		r.errs = append(r.errs, r.file.errorf(v, "%v", err))
	}
}

func (r *dynReader) role(_ string, v jsonValue) {
	role := new(dynRole)
	r.decode(v, role)
	role.name = importedRole("role", role.Rolename, len(r.order)+1)
	if r.roles[role.Rolename] != nil {
		r.errs = append(r.errs, r.file.errorf(v, "there is a role %q already", role.Rolename))
		return
	}
	r.each(v, func(key string, v jsonValue) {
		if key == "acls" {
			r.each(v, func(_ string, v jsonValue) { role.acls = append(role.acls, r.acl(v)...) })
		}
	})
	slices.SortStableFunc(role.acls, func(a, b *dynACL) int {
		return cmp.Or(a.patterns()-b.patterns(), b.Priority-a.Priority)
	})
	r.roles[role.Rolename] = role
	r.order = append(r.order, role)
}

// patterns puts those who are asked last in a role behind the others.
func (a *dynACL) patterns() int {
	if a.Type == "subscribePattern" {
		return 1
	}
	return 0
}

var dynActions = map[string]Action{
	"publishClientSend": Publish, "publishClientReceive": Receive,
	"subscribeLiteral": Subscribe, "subscribePattern": Subscribe,
}

// acl reads one line of a role; none if it has no meaning here.
func (r *dynReader) acl(v jsonValue) []*dynACL {
	a := &dynACL{at: v}
	r.decode(v, a)
	if a.Type == "unsubscribeLiteral" || a.Type == "unsubscribePattern" {
		if !a.Allow {
			r.warn(v, "everybody may unsubscribe here")
		}
		return nil
	}
	action, ok := dynActions[a.Type]
	if !ok {
		r.errs = append(r.errs, r.file.errorf(v, "there is no acltype %q", a.Type))
		return nil
	}
	if err := checkFilter(a.Topic); err != nil {
		r.errs = append(r.errs, r.file.errorf(v, "%v", err))
		return nil
	}
	if own(a.Topic) != a.Topic {
		r.warn(v, "mosquitto before 2.1 takes %%u and %%c for text; here they are names")
	}
	a.action = action
	return []*dynACL{a}
}

func (r *dynReader) group(_ string, v jsonValue) {
	g := &dynGroup{at: v}
	r.decode(v, g)
	r.groups[g.Groupname] = g
}

func (r *dynReader) client(_ string, v jsonValue) {
	c := &dynClient{at: v}
	r.decode(v, c)
	r.clients = append(r.clients, c)
}

func (r *dynReader) warn(v jsonValue, format string, args ...any) {
	line, column := r.file.line(v.start)
	r.im.warn(line, column, format, args...)
}
