package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edge/broker/login"
)

// A pairer is one `edge pair`: it shows a code, or sends one.
type pairer struct {
	*app
	place
	remote
	admin bool
	code  string
	who   string
	newPassword
}

func (a *app) pairCommand() *cobra.Command {
	p := &pairer{app: a}
	cmd := &cobra.Command{
		Use:   "pair",
		Short: "Make the first user of a hub, by a code of six words",
		Example: `  edge pair                                on the hub: shows a code, and waits
  edge pair --code "bako dilo fume gari hoja kine" --user anna
  edge pair --code "bako dilo fume gari hoja kine" --user anna -L tls://hub.local
  edge pair --admin                        one more admin, where there are users`,
		Long: `On the hub it shows a code that is good once, for 15 minutes and 5 tries. Who owns the
data directory may ask for it. With --code it sends the code to a hub, and makes a
user with the role admin there. Until there is a user, a hub can be reached from its
own machine only. Ctrl-C makes the code worthless.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd) },
	}
	fs := cmd.Flags()
	fs.BoolVar(&p.admin, "admin", false, "show a code that makes an admin although there are users")
	fs.StringVar(&p.code, "code", "", "the code that the hub shows")
	fs.StringVar(&p.who, "user", "", "name of the user to make")
	fs.BoolVar(&p.stdin, "password-stdin", false, "read the password of the user from the first line of stdin")
	a.jsonFlag(cmd, "print JSON: the code, and then what has become of it")
	p.place.flags(fs)
	p.remote.flags(fs)
	return cmd
}

func (p *pairer) run(cmd *cobra.Command) error {
	switch redeems := cmd.Flags().Changed("code"); {
	case redeems && p.admin:
		return usageError{errors.New("--admin is for who shows the code, not for who has it")}
	case redeems:
		return p.redeem(cmd.Context())
	case p.who != "" || p.stdin:
		return usageError{errors.New("--user and --password-stdin go with --code")}
	}
	return p.offer(cmd.Context())
}

// offer shows a code and waits until it was used, or is worth nothing any more.
func (p *pairer) offer(ctx context.Context) error {
	verb := pairVerb
	if p.admin {
		verb = pairAdminVerb
	}
	s, err := p.ask(ctx, verb)
	if err != nil {
		return err
	}
	if err := p.showCode(s); err != nil {
		return err
	}
	defer p.wipe()
	tick := time.NewTicker(pairPause)
	defer tick.Stop()
	for s.State == pairOpen {
		p.countDown(s)
		select {
		case <-ctx.Done():
			p.giveUp(ctx, s)
			return context.Cause(ctx)
		case <-tick.C:
		}
		if s, err = p.ask(ctx, fmt.Sprintf("%s %d", pairedVerb, s.ID)); err != nil {
			return err
		}
	}
	p.wipe()
	return p.showEnd(s)
}

// pairPause is how often it is looked whether somebody has paired.
const pairPause = time.Second

// ask asks the hub about pairing.
func (p *pairer) ask(ctx context.Context, verb string) (pairingState, error) {
	r, err := ask(ctx, p.dir(), verb)
	switch {
	case err != nil:
		return pairingState{}, err
	case !r.OK:
		return pairingState{}, errors.New(r.Error)
	case r.Pairing == nil:
		return pairingState{}, errors.New("the hub is of another version than this program; restart it")
	}
	return *r.Pairing, nil
}

// giveUp makes the code worthless because nobody waits for it any more; ctx is over.
func (p *pairer) giveUp(ctx context.Context, s pairingState) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = p.ask(ctx, fmt.Sprintf("%s %d", unpairVerb, s.ID)) // Else its time ends it.
}

// showCode prints the code and what to do with it.
func (p *pairer) showCode(s pairingState) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(s)
	}
	where := "on this machine"
	if p.admin {
		where = "where the hub can be reached"
	}
	_, err := fmt.Fprintf(p.out, `
    %s

Within %d minutes, %s (-L URL says where the hub is):

    edge pair --code "%s" --user NAME

Who does so is an admin of this hub.
`, p.paint(p.out, bold, strings.ToUpper(strings.ReplaceAll(s.Code, " ", "   "))),
		int(login.PairingTime.Minutes()), where, s.Code)
	return err
}

// countDown says on a terminal how long the code is good.
func (p *pairer) countDown(s pairingState) {
	if !isTerminal(p.err) || p.json {
		return
	}
	left := max(time.Until(s.Ends), 0).Round(time.Second)
	fmt.Fprintf(p.err, "\r\x1b[K%s", p.paint(p.err, dim,
		fmt.Sprintf("waiting; %d:%02d left, tries left: %d", int(left.Minutes()), int(left.Seconds())%60, s.Tries)))
}

func (p *pairer) wipe() {
	if isTerminal(p.err) && !p.json {
		fmt.Fprint(p.err, "\r\x1b[K")
	}
}

// showEnd says what has become of the code.
func (p *pairer) showEnd(s pairingState) error {
	if p.json {
		if err := json.NewEncoder(p.out).Encode(s); err != nil {
			return err
		}
	}
	switch s.State {
	case pairDone:
		if p.json {
			return nil
		}
		_, err := fmt.Fprintf(p.out, "%s %s is an admin of this hub\n", p.paint(p.out, green, "paired:"), s.User)
		return err
	case pairLate:
		return coded(exitTimedOut, errors.New("nobody has paired: the time of the code is over; edge pair makes a new one"))
	case pairTried:
		return coded(exitRefused, errors.New("nobody has paired: somebody has tried too many wrong codes; edge pair makes a new one"))
	}
	return errors.New("nobody has paired: another edge pair has made a new code, or the hub was restarted")
}
