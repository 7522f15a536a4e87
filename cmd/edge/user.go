package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edge/broker/login"
)

// usersOf is the users file that a command is about.
type usersOf struct{ place }

func (u *usersOf) load() (login.Users, error) { return login.Load(usersFile(u.dir())) }

// editTime is how long another command may keep the users file to itself.
const editTime = 10 * time.Second

// editUsers changes a users file, which another command may have for a while.
func editUsers(ctx context.Context, file string, change func(login.Users) (login.Users, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, editTime, errors.New("another command has it"))
	defer cancel()
	return login.Edit(ctx, file, change)
}

// edit changes the users file, and has the hub, if one runs, take the change.
func (u *usersOf) edit(ctx context.Context, change func(login.Users) (login.Users, error)) error {
	dir := u.dir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w; name another one with --data", err)
	}
	var before, after login.Users
	err := editUsers(ctx, usersFile(dir), func(users login.Users) (_ login.Users, err error) {
		before = users
		after, err = change(users)
		return after, err
	})
	if err != nil {
		return err
	}
	r, err := ask(ctx, dir, usersVerb)
	if e, ok := errors.AsType[codedError](err); ok && e.code == exitUnreachable {
		// It will read the file when it starts, and cannot know then who it was.
		by := author{Who: "uid:" + strconv.Itoa(os.Getuid()), From: "command line"}
		if err := (auditLog{dir: dir}).writeUsers(by, before, after); err != nil {
			return fmt.Errorf("the users are changed, but the audit does not say so: %w", err)
		}
		return nil
	}
	if err == nil && !r.OK {
		err = errors.New(r.Error)
	}
	if err != nil {
		return fmt.Errorf("the users are changed, but the running hub has not taken it: %w; restart it", err)
	}
	return nil
}

// editOne changes the user called name.
func (u *usersOf) editOne(ctx context.Context, name string, change func(*login.User)) error {
	return u.edit(ctx, changing(name, change))
}

// changing changes the user called name.
func changing(name string, change func(*login.User)) func(login.Users) (login.Users, error) {
	return func(users login.Users) (login.Users, error) {
		user, ok := users.Find(name)
		if !ok {
			return nil, noSuchUser(name)
		}
		change(&user)
		return users.With(user), nil
	}
}

// adding adds a user.
func adding(user login.User) func(login.Users) (login.Users, error) {
	return func(users login.Users) (login.Users, error) {
		if _, ok := users.Find(user.Name); ok {
			return nil, fmt.Errorf("there is a user %s already; edge user passwd gives a new password", user.Name)
		}
		return users.With(user), nil
	}
}

// removing removes the user called name.
func removing(name string) func(login.Users) (login.Users, error) {
	return func(users login.Users) (login.Users, error) {
		if _, ok := users.Find(name); !ok {
			return nil, noSuchUser(name)
		}
		return users.Without(name), nil
	}
}

func noSuchUser(name string) error {
	return fmt.Errorf("there is no user %s; edge user list has all of them", name)
}

// complete lists the users that a shell may offer as the first argument.
func (u *usersOf) complete(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	users, err := u.load()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, user := range users {
		if strings.HasPrefix(user.Name, prefix) {
			names = append(names, user.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) userCommand() *cobra.Command {
	u := new(usersOf)
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Say who may log in",
		Example: `  edge user add anna --role admin          asks for a password
  edge user add pump-3 --role sensor --generate
  edge user list
  edge user disable anna`,
		Long: `Users are in the file "users" of the hub's data directory. What a command changes
there, a running hub takes at once; a hub that does not run reads it when it starts.
A password is never an argument, since everybody on the machine could see it.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: add, passwd, roles, disable, enable, remove or list")}
		},
	}
	u.flags(cmd.PersistentFlags())
	cmd.AddCommand(a.userAdd(u), a.userPasswd(u), a.userRoles(u), a.userDisable(u, true), a.userDisable(u, false),
		a.userRemove(u), a.userList(u))
	return cmd
}

func (a *app) userAdd(u *usersOf) *cobra.Command {
	var p newPassword
	var roles []string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Example: `  edge user add anna --role admin
  edge user add pump-3 --role sensor --generate
  pass show edge/anna | edge user add anna --role admin --password-stdin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.addUser(cmd.Context(), u, login.User{Name: args[0], Roles: login.SortRoles(roles)}, p)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringSliceVar(&roles, "role", nil, "a role of the user; may be repeated")
	return cmd
}

func (a *app) addUser(ctx context.Context, u *usersOf, user login.User, p newPassword) error {
	if err := errors.Join(login.CheckName(user.Name), login.CheckRoles(user.Roles)); err != nil {
		return usageError{err}
	}
	users, err := u.load()
	if err != nil {
		return err
	}
	if _, err := adding(user)(users); err != nil { // Before anybody types a password for nothing.
		return err
	}
	secret, hash, err := a.choose(p, user.Name)
	if err != nil {
		return err
	}
	user.Hash, user.Created = hash, time.Now().UTC().Truncate(time.Second)
	if err := u.edit(ctx, adding(user)); err != nil {
		return err
	}
	a.warnOfRoles(u, user.Roles)
	if len(user.Roles) == 0 {
		fmt.Fprintf(a.err, "edge: %s has no roles, and may do nothing yet; edge user roles %s ROLE\n", user.Name, user.Name)
	}
	return a.show(p, secret)
}

// warnOfRoles names roles that nobody has described. They may be to come, so this is
// no error; a mistake in typing would take rights away in silence.
func (a *app) warnOfRoles(u *usersOf, roles []string) {
	policy, err := u.policy()
	if err != nil {
		return // edge check says what is wrong.
	}
	for _, role := range roles {
		if err := policy.CheckRole(role); err != nil {
			fmt.Fprintf(a.err, "%s %v\n", a.paint(a.err, yellow, "edge:"), err)
		}
	}
}

func (a *app) userPasswd(u *usersOf) *cobra.Command {
	var p newPassword
	cmd := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Give a user a new password",
		Example: `  edge user passwd anna
  edge user passwd pump-3 --generate`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: u.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			users, err := u.load()
			if err != nil {
				return err
			}
			if _, ok := users.Find(args[0]); !ok {
				return noSuchUser(args[0])
			}
			secret, hash, err := a.choose(p, args[0])
			if err != nil {
				return err
			}
			if err := u.editOne(cmd.Context(), args[0], func(user *login.User) { user.Hash = hash }); err != nil {
				return err
			}
			return a.show(p, secret)
		},
	}
	p.flags(cmd)
	return cmd
}

func (a *app) userRoles(u *usersOf) *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use:   "roles NAME ROLE...",
		Short: "Give a user these roles, and no others",
		Example: `  edge user roles anna admin
  edge user roles anna --none`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: u.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			roles := login.SortRoles(args[1:])
			if err := login.CheckRoles(roles); err != nil {
				return usageError{err}
			}
			if none != (len(roles) == 0) {
				return usageError{errors.New("name the roles, or say --none")}
			}
			if err := u.editOne(cmd.Context(), args[0], func(user *login.User) { user.Roles = roles }); err != nil {
				return err
			}
			a.warnOfRoles(u, roles)
			return nil
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "take all roles away")
	return cmd
}

func (a *app) userDisable(u *usersOf, disabled bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "enable NAME",
		Short:   "Let a disabled user in again",
		Example: `  edge user enable anna`,
	}
	if disabled {
		cmd.Use, cmd.Short, cmd.Example = "disable NAME", "Keep a user out, without forgetting him", `  edge user disable anna`
	}
	cmd.Args = cobra.ExactArgs(1)
	cmd.ValidArgsFunction = u.complete
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return u.editOne(cmd.Context(), args[0], func(user *login.User) { user.Disabled = disabled })
	}
	return cmd
}

func (a *app) userRemove(u *usersOf) *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Short:             "Forget a user",
		Example:           `  edge user remove anna`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: u.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			return u.edit(cmd.Context(), removing(args[0]))
		},
	}
}

func (a *app) userList(u *usersOf) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List users, their roles and the kind of their password",
		Example: `  edge user list
  edge user list --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			users, err := u.load()
			if err != nil {
				return err
			}
			return a.printUsers(users, filepath.Join(u.dir(), "users"))
		},
	}
	a.jsonFlag(cmd, "print one JSON object for each user")
	return cmd
}

// A listed user is what `edge user list --json` prints.
type listed struct {
	Name     string    `json:"name"`
	Disabled bool      `json:"disabled"`
	Roles    []string  `json:"roles"`
	Password string    `json:"password"` // the kind of its hash
	Created  time.Time `json:"created"`
}

func list(u login.User) listed {
	return listed{u.Name, u.Disabled, append([]string{}, u.Roles...), u.Hash.String(), u.Created}
}

func (a *app) printUsers(users login.Users, file string) error {
	if a.json {
		e := json.NewEncoder(a.out)
		for _, u := range users {
			if err := e.Encode(list(u)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(users) == 0 {
		fmt.Fprintf(a.err, "edge: there are no users in %s; edge user add NAME\n", file)
		return nil
	}
	rows := [][]string{{"NAME", "STATE", "ROLES", "PASSWORD", "CREATED"}}
	for _, u := range users {
		state := "on"
		if u.Disabled {
			state = "off"
		}
		rows = append(rows, []string{u.Name, state, strings.Join(u.Roles, ","), u.Hash.String(), u.Created.Format(time.DateOnly)})
	}
	return a.printTable(rows)
}
