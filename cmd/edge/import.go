package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edge/broker/access"
	"edge/broker/login"
	"edge/internal/config"
)

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Take over what another broker knows",
		Example: `  edge import mosquitto /etc/mosquitto/mosquitto.conf`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say from which broker: mosquitto")}
		},
	}
	cmd.AddCommand(a.importMosquitto())
	return cmd
}

// A mosquittoImport is which files of mosquitto are taken over, and how. All are
// read before anything is changed.
type mosquittoImport struct {
	hub     usersOf
	files   mosquittoFiles
	roles   []string
	replace bool
	show    bool

	users    login.Users
	rules    *access.Imported // nil: no file has any
	warnings config.Errors
	errs     config.Errors
}

// mosquittoFiles are the files that mosquitto.conf names; empty: none.
type mosquittoFiles struct{ passwords, acl, dynamic string }

func (a *app) importMosquitto() *cobra.Command {
	var m mosquittoImport
	cmd := &cobra.Command{
		Use:   "mosquitto [MOSQUITTO.CONF]",
		Short: "Take over the users and the rules of mosquitto",
		Example: `  edge import mosquitto /etc/mosquitto/mosquitto.conf
  edge import mosquitto --password-file passwd --role operator
  edge import mosquitto --acl-file acl --print          show the rules, change nothing
  edge import mosquitto --dynamic-security dynamic-security.json --replace`,
		Long: `It reads the files that mosquitto.conf names, or those that the flags name. Users, with
the hashes of their passwords, become users of the hub; rules become
conf.d/mosquitto.yaml beside the hub's configuration, and hold from the next edge
reload on. All is read before anything is changed: a file with a mistake
changes nothing. What does not mean the same here, and what has to be written by hand,
as listeners, is said with its line.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.takeOver(cmd.Context(), &m, args) },
	}
	m.hub.flags(cmd.PersistentFlags())
	fs := cmd.Flags()
	fs.StringVar(&m.files.passwords, "password-file", "", "mosquitto's password_file")
	fs.StringVar(&m.files.acl, "acl-file", "", "mosquitto's acl_file")
	fs.StringVar(&m.files.dynamic, "dynamic-security", "", "the JSON file of mosquitto's dynamic security plugin")
	fs.StringSliceVar(&m.roles, "role", nil, "a role of each user; may be repeated")
	fs.BoolVar(&m.replace, "replace", false, "take the place of rules and passwords that are there already")
	fs.BoolVar(&m.show, "print", false, "print the rules instead, and change nothing")
	return cmd
}

// takeOver reads everything and then changes everything.
func (a *app) takeOver(ctx context.Context, m *mosquittoImport, args []string) error {
	if err := login.CheckRoles(m.roles); err != nil {
		return usageError{err}
	}
	if err := m.read(args); err != nil {
		return err
	}
	for _, w := range m.warnings {
		fmt.Fprintf(a.err, "%s %v\n", a.paint(a.err, yellow, "edge:"), w)
	}
	if m.show {
		return a.printRules(m)
	}
	file, err := m.place()
	if err != nil {
		return err
	}
	if err := a.store(ctx, m, file); err != nil {
		return err
	}
	a.warnOfRoles(&m.hub, m.roles)
	a.warnOfStrangers(m)
	return nil
}

// read reads what args and flags name. The error has all mistakes of all files.
func (m *mosquittoImport) read(args []string) error {
	if len(args) > 0 {
		m.readConf(args[0])
	}
	if m.files == (mosquittoFiles{}) && len(m.errs) == 0 {
		return usageError{errors.New("nothing to import: name mosquitto.conf, or a file with --password-file, --acl-file or --dynamic-security")}
	}
	if m.files.acl != "" && m.files.dynamic != "" {
		return usageError{errors.New("an acl_file and dynamic security are two sets of rules; import one of them, and see the other with --print")}
	}
	m.readPasswords()
	m.readRules()
	if len(m.errs) > 0 {
		return coded(exitConfig, fmt.Errorf("nothing changed; there are mistakes:\n%w", m.errs))
	}
	return nil
}

// wrong notes what is wrong with a file.
func (m *mosquittoImport) wrong(file string, err error) {
	if err == nil {
		return
	}
	if errs, ok := errors.AsType[config.Errors](err); ok {
		m.errs = append(m.errs, errs...)
		return
	}
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = fmt.Errorf("cannot be read: %w", e.Err) // The message has the name already.
	}
	m.errs = append(m.errs, &config.Error{File: file, Message: err.Error()})
}

func (m *mosquittoImport) readPasswords() {
	if m.files.passwords == "" {
		return
	}
	data, err := os.ReadFile(m.files.passwords)
	if err == nil {
		m.users, err = login.ParseMosquitto(m.files.passwords, data, m.roles, time.Now())
	}
	m.wrong(m.files.passwords, err)
}

// readRules reads an ACL file, or a file of dynamic security with its users.
func (m *mosquittoImport) readRules() {
	file, parse := m.files.acl, access.ReadACLFile
	if m.files.dynamic != "" {
		file, parse = m.files.dynamic, access.ReadDynamicSecurity
	}
	if file == "" {
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		m.wrong(file, err)
		return
	}
	im, err := parse(file, data)
	m.wrong(file, err)
	m.rules = &im
	m.warnings = append(m.warnings, im.Warnings...)
	for _, l := range im.Logins {
		m.addUser(file, l)
	}
}

// addUser makes a user of somebody whom dynamic security knows. There, who is in
// the password_file too is asked for the password of the plugin first.
func (m *mosquittoImport) addUser(file string, l access.ImportedLogin) {
	say := func(list *config.Errors, format string, args ...any) {
		*list = append(*list, &config.Error{File: file, Line: l.Line, Column: l.Column, Message: fmt.Sprintf(format, args...)})
	}
	if err := login.CheckName(l.User); err != nil {
		say(&m.errs, "%v", err)
		return
	}
	if l.Hash == "" {
		say(&m.warnings, "user %s has no password, and is left out", l.User)
		return
	}
	h, err := login.ParseHash(l.Hash)
	switch {
	case err != nil:
		say(&m.errs, "the password of user %s: %v", l.User, err)
		return
	case h.Generated():
		say(&m.errs, "the password of user %s: %s is no hash of mosquitto", l.User, h)
		return
	}
	now := time.Now().UTC().Truncate(time.Second)
	m.users = m.users.With(login.User{Name: l.User, Hash: h, Roles: login.SortRoles(m.roles), Disabled: l.Disabled, Created: now})
}

// store writes the rules and the users, or neither.
func (a *app) store(ctx context.Context, m *mosquittoImport, file string) error {
	if len(m.users) == 0 {
		if err := m.writeRules(file); err != nil {
			return err
		}
	} else if err := m.hub.edit(ctx, func(users login.Users) (login.Users, error) {
		users, err := m.merge(users)
		if err == nil {
			err = m.writeRules(file) // Before the users: they are right only if this is.
		}
		return users, err
	}); err != nil {
		return err
	}
	if len(m.users) > 0 {
		fmt.Fprintf(a.out, "%d users\n", len(m.users))
	}
	if m.rules != nil {
		fmt.Fprintf(a.out, "rules in %s; edge reload puts them in force\n", file)
	}
	return nil
}

// merge puts the imported users among users.
func (m *mosquittoImport) merge(users login.Users) (login.Users, error) {
	var there []string
	for _, u := range m.users {
		if old, ok := users.Find(u.Name); ok {
			there = append(there, u.Name)
			u.Roles, u.Disabled, u.Created = old.Roles, old.Disabled || u.Disabled, old.Created
		}
		users = users.With(u)
	}
	if len(there) > 0 && !m.replace {
		return nil, fmt.Errorf("nothing changed; these users are there already: %s; --replace gives them the imported passwords", strings.Join(there, ", "))
	}
	return users, nil
}

// warnOfStrangers names users who have rules and no password: there they may have
// come in without.
func (a *app) warnOfStrangers(m *mosquittoImport) {
	if m.rules == nil {
		return
	}
	users, err := m.hub.load()
	if err != nil {
		return // It was read a moment ago.
	}
	var unknown []string
	for name := range m.rules.Config.Users {
		if _, ok := users.Find(name); !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		fmt.Fprintf(a.err, "%s the rules are about users who cannot log in yet: %s; edge user add NAME\n",
			a.paint(a.err, yellow, "edge:"), strings.Join(unknown, ", "))
	}
}

func (a *app) printRules(m *mosquittoImport) error {
	if m.rules == nil {
		return usageError{errors.New("there are no rules to print; name a file with --acl-file or --dynamic-security")}
	}
	_, err := bytes.NewReader(m.rules.YAML()).WriteTo(a.out)
	return err
}
