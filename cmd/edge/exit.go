package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes are a promise to scripts; `edge help exit-codes` lists them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 4
	exitRefused     = 5
	exitTimedOut    = 6
	exitInterrupted = 130
)

const exitCodes = `Exit codes:
    0  done
    1  failed
    2  the command line is wrong
    3  the configuration has errors
    4  the broker cannot be reached
    5  refused by the broker's access control
    6  timed out
  130  interrupted by Ctrl-C`

// A codedError carries the exit code that it stands for.
type codedError struct {
	code int
	err  error
}

func (e codedError) Error() string { return e.err.Error() }
func (e codedError) Unwrap() error { return e.err }

// A usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// A quietError has been explained already; only its exit code is left to say.
type quietError struct{ error }

func (e quietError) Unwrap() error { return e.error }

func coded(code int, err error) error {
	if err == nil {
		return nil
	}
	return codedError{code, err}
}

func isUsage(err error) bool {
	_, ok := errors.AsType[usageError](err)
	return ok
}

func isQuiet(err error) bool {
	_, ok := errors.AsType[quietError](err)
	return ok
}

func exitCode(ctx context.Context, err error) int {
	switch {
	case interrupted(ctx):
		return exitInterrupted
	case err == nil:
		return exitDone
	case isUsage(err):
		return exitUsage
	}
	if e, ok := errors.AsType[codedError](err); ok {
		return e.code
	}
	return exitFailed
}

// A signalError is why a context ended.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "stopped by " + e.String() }

func interrupted(ctx context.Context) bool {
	e, ok := errors.AsType[signalError](context.Cause(ctx))
	return ok && e.Signal == os.Interrupt
}

// interruptible returns a context that ends at the first SIGINT or SIGTERM. A
// second one ends the process at once: who asks twice does not want to wait.
func interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if ctx.Err() != nil {
					os.Exit(secondSignal(s))
				}
				cancel(signalError{s})
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

func secondSignal(s os.Signal) int {
	if s == os.Interrupt {
		return exitInterrupted
	}
	return exitFailed
}
