package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edge/broker/login"
	"edge/internal/config"
)

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Take over what another broker knows",
		Example: `  edge import mosquitto --password-file /etc/mosquitto/passwd --role operator`,
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
	users     usersOf
	passwords string
	roles     []string
	replace   bool
}

func (a *app) importMosquitto() *cobra.Command {
	var m mosquittoImport
	cmd := &cobra.Command{
		Use:   "mosquitto",
		Short: "Take over the users of mosquitto, with their passwords",
		Example: `  edge import mosquitto --password-file /etc/mosquitto/passwd --role operator
  edge import mosquitto --password-file passwd --replace`,
		Long: `It reads what mosquitto_passwd has written, with sha512, sha512-pbkdf2 or argon2id. A
file with a mistake changes nothing. Hashes that are easily guessed at are made
better when their user logs in.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.takeOver(cmd, &m) },
	}
	m.users.flags(cmd.PersistentFlags())
	cmd.Flags().StringVar(&m.passwords, "password-file", "", "mosquitto's password_file")
	cmd.Flags().StringSliceVar(&m.roles, "role", nil, "a role of each user; may be repeated")
	cmd.Flags().BoolVar(&m.replace, "replace", false, "take the passwords of users who are there already, too")
	return cmd
}

func (a *app) takeOver(cmd *cobra.Command, m *mosquittoImport) error {
	if m.passwords == "" {
		return usageError{errors.New("nothing to import: name a file with --password-file")}
	}
	if err := login.CheckRoles(m.roles); err != nil {
		return usageError{err}
	}
	imported, err := m.readPasswords()
	if err != nil {
		return err
	}
	err = m.users.edit(cmd.Context(), func(users login.Users) (login.Users, error) { return m.merge(users, imported) })
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d users\n", len(imported))
	return nil
}

func (m *mosquittoImport) readPasswords() (login.Users, error) {
	data, err := os.ReadFile(m.passwords)
	if err != nil {
		return nil, fmt.Errorf("import passwords: %w", err)
	}
	users, err := login.ParseMosquitto(m.passwords, data, m.roles, time.Now())
	if errs, ok := errors.AsType[config.Errors](err); ok {
		return nil, coded(exitConfig, fmt.Errorf("nothing changed; the file has mistakes:\n%w", errs))
	}
	return users, err
}

// merge puts imported users among users.
func (m *mosquittoImport) merge(users, imported login.Users) (login.Users, error) {
	var there []string
	for _, u := range imported {
		if old, ok := users.Find(u.Name); ok {
			there = append(there, u.Name)
			u.Roles, u.Disabled, u.Created = old.Roles, old.Disabled, old.Created
		}
		users = users.With(u)
	}
	if len(there) > 0 && !m.replace {
		return nil, fmt.Errorf("nothing changed; these users are there already: %s; --replace gives them the imported passwords", strings.Join(there, ", "))
	}
	return users, nil
}
