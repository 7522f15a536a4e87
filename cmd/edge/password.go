package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"edge/broker/login"
)

// newPassword says where a new password comes from; the zero value is a person
// at a terminal.
type newPassword struct{ stdin, generate bool }

func (p *newPassword) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.stdin, "password-stdin", false, "read the password from the first line of stdin")
	cmd.Flags().BoolVar(&p.generate, "generate", false, "make a password that nobody can guess, and print it: best for devices")
}

// maxPasswordLine bounds what is read of stdin for one line.
const maxPasswordLine = 4096

// choose returns a new password for name, and its hash.
func (a *app) choose(p newPassword, name string) (login.Secret, login.Hash, error) {
	switch {
	case p.generate && p.stdin:
		return login.Secret{}, login.Hash{}, usageError{errors.New("--generate and --password-stdin cannot be had both")}
	case p.generate:
		secret := login.GenerateSecret()
		return secret, login.HashGenerated(secret), nil
	}
	secret, err := a.readPassword(p, name)
	if err == nil {
		err = login.CheckPassword(secret)
	}
	if err != nil {
		return login.Secret{}, login.Hash{}, err
	}
	return secret, login.HashPassword(secret, login.DefaultCost()), nil
}

// show prints a password that nobody knows yet.
func (a *app) show(p newPassword, secret login.Secret) error {
	if !p.generate {
		return nil
	}
	_, err := fmt.Fprintln(a.out, secret.Reveal())
	return err
}

func (a *app) readPassword(p newPassword, name string) (login.Secret, error) {
	switch {
	case p.stdin:
		line, err := bufio.NewReader(io.LimitReader(a.in, maxPasswordLine)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return login.Secret{}, fmt.Errorf("read password: %w", err)
		}
		return login.NewSecret(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")), nil
	case !isTerminal(a.in) || !isTerminal(a.err):
		return login.Secret{}, usageError{errors.New("nobody is here to type a password; say --password-stdin or --generate")}
	}
	first, err := a.prompt("New password of " + name + ": ")
	if err != nil {
		return login.Secret{}, err
	}
	if err := login.CheckPassword(first); err != nil {
		return login.Secret{}, err // Before it is typed again.
	}
	second, err := a.prompt("Once more: ")
	if err != nil {
		return login.Secret{}, err
	}
	if first.Reveal() != second.Reveal() {
		return login.Secret{}, errors.New("the two passwords differ; nothing changed")
	}
	return first, nil
}

// prompt reads a line that is not shown.
func (a *app) prompt(text string) (login.Secret, error) {
	fmt.Fprint(a.err, text)
	b, err := term.ReadPassword(int(a.in.(*os.File).Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return login.Secret{}, fmt.Errorf("read password: %w", err)
	}
	return login.NewSecret(string(b)), nil
}
