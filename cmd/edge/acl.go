package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edge/broker"
	"edge/broker/access"
	"edge/broker/login"
)

// denialsVerb asks the hub what it has denied lately.
const denialsVerb = "denials"

func (a *app) aclCommand() *cobra.Command {
	u := new(usersOf)
	cmd := &cobra.Command{
		Use:   "acl",
		Short: "See who may do what, and what was denied",
		Example: `  edge acl explain anna publish edge/shed/relay/pump/set
  edge acl denials`,
		Long: `The rules are in the section "access" of the configuration; docs/access.md says what
they mean.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: explain or denials")}
		},
	}
	u.flags(cmd.PersistentFlags())
	cmd.AddCommand(a.aclExplain(u), a.aclDenials(u))
	return cmd
}

func (a *app) aclExplain(u *usersOf) *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:   "explain USER publish|subscribe|receive TOPIC",
		Short: "Say whether a user may do something, and which rule decides",
		Example: `  edge acl explain anna publish edge/shed/relay/pump/set
  edge acl explain anna subscribe 'garden/#'
  edge acl explain '' receive garden/tap          clients without credentials
  edge acl explain bridge/relay publish garden/tap   the bridge "relay" of this hub`,
		Args: cobra.ExactArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			action, err := access.ParseAction(args[1])
			if err != nil {
				return usageError{err}
			}
			return a.explain(u, access.Principal{Name: args[0], ClientID: id}, action, args[2])
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "client id, for rules with %c")
	a.jsonFlag(cmd, "print one JSON object")
	return cmd
}

// policy returns the rules of the configuration.
func (p *place) policy() (*access.Policy, error) {
	_, policy, err := p.rules()
	return policy, err
}

// rules returns the configuration and its rules.
func (p *place) rules() (*plan, *access.Policy, error) {
	plan, err := readPlan(p.config(), nil)
	if err != nil {
		return nil, nil, err
	}
	policy, err := access.Compile(plan.Access, plan.root(), plan.Broker.Where)
	return plan, policy, err
}

// explained is what `edge acl explain --json` prints.
type explained struct {
	Allowed bool           `json:"allowed"`
	Roles   []string       `json:"roles"`
	Rule    *access.Reason `json:"rule,omitempty"`
}

func (a *app) explain(u *usersOf, who access.Principal, action access.Action, what string) error {
	plan, policy, err := u.rules()
	if err != nil {
		return err
	}
	users, err := u.load()
	if err != nil {
		return err
	}
	user, known := users.Find(who.Name)
	if name, is := strings.CutPrefix(who.Name, "bridge/"); is { // No user has such a name.
		who.Name, who.Roles, who.Reads = name, policy.RolesOfBridge(name), plan.bridges[name].reads()
	} else {
		who.Roles = policy.RolesOf(who.Name)
	}
	if known && !user.Disabled {
		who.Roles = append(who.Roles, user.Roles...)
	}
	who.Roles = login.SortRoles(who.Roles)
	d := policy.For(who).Ask(action, what)
	if a.json {
		return json.NewEncoder(a.out).Encode(explained{d.Allowed, append([]string{}, who.Roles...), d.Reason})
	}
	if user.Disabled {
		fmt.Fprintf(a.err, "edge: %s is disabled, and may not come in at all\n", who.Name)
	}
	_, err = fmt.Fprintln(a.out, d)
	return err
}

func (a *app) aclDenials(u *usersOf) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "denials",
		Short: "List what the running hub has denied lately",
		Example: `  edge acl denials
  edge acl denials --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := ask(cmd.Context(), u.dir(), denialsVerb)
			if err != nil {
				return err
			}
			if !r.OK {
				return errors.New(r.Error)
			}
			return a.printDenials(r.Denials)
		},
	}
	a.jsonFlag(cmd, "print one JSON object for each denial")
	return cmd
}

func (a *app) printDenials(all []broker.Denial) error {
	if a.json {
		e := json.NewEncoder(a.out)
		for _, d := range all {
			if err := e.Encode(d); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(a.err, "edge: nothing was denied since the hub was started")
		return nil
	}
	rows := [][]string{{"LAST", "COUNT", "USER", "CLIENT", "ACTION", "TOPIC"}}
	for _, d := range all {
		rows = append(rows, []string{d.Last.Format(time.DateTime), strconv.Itoa(d.Count), d.Owner, d.Client, d.Action, strconv.Quote(d.Topic)})
	}
	return a.printTable(rows)
}

// denials answers `edge acl denials`.
func (n *node) denials() reply { return reply{OK: true, Denials: n.server.Denials()} }
