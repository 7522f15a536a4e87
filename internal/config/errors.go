package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A FieldError says what is wrong with the value at Path, which counts from the
// root of the value that was validated: `pins[1].line`. It knows no file;
// Tree.Locate finds the place.
type FieldError struct {
	Path string
	Err  error
}

// Error returns path and cause on one line.
func (e *FieldError) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.Err }

// Errorf returns a *FieldError for path. The format is that of fmt.Errorf, with
// %w. Path is made of YAML keys and of indexes from 0: `a.b[2].c`.
func Errorf(path, format string, args ...any) error {
	return &FieldError{path, fmt.Errorf(format, args...)}
}

// In puts prefix before the path of each FieldError that is joined in err. An
// error without a path gets prefix as its path, and one that has a place in a
// file already keeps it. In of nil is nil.
func In(prefix string, err error) error {
	switch e := err.(type) { //nolint:errorlint // The tree of joined errors is walked here, node by node.
	case nil:
		return nil
	case *FieldError:
		return &FieldError{join(prefix, e.Path), e.Err}
	case *Error, Errors:
		return err
	case interface{ Unwrap() []error }:
		var errs []error
		for _, err := range e.Unwrap() {
			errs = append(errs, In(prefix, err))
		}
		return errors.Join(errs...)
	}
	return &FieldError{prefix, err}
}

// join appends a path to the path of its parent.
func join(parent, child string) string {
	if parent == "" || child == "" || child[0] == '[' {
		return parent + child
	}
	return parent + "." + child
}

func item(parent string, i int) string { return fmt.Sprintf("%s[%d]", parent, i) }

// An Error is one mistake at one place. File is empty where no file is to blame,
// and Line and Column are 0 where no line is.
type Error struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`   // from 1
	Column  int    `json:"column,omitempty"` // from 1, in characters
	Path    string `json:"path,omitempty"`   // as in FieldError, from the root of the file
	Message string `json:"message"`

	at   place
	hint string // the path of the key that was probably meant
	err  error
}

// newError makes an Error at a place.
func newError(at place, path, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Path: path, Message: err.Error(), at: at, err: err}
	if at.src != nil {
		e.File, e.Line, e.Column = at.src.name, at.line, at.col
	}
	return e
}

// Error returns the mistake on one line, FILE:LINE:COLUMN first.
func (e *Error) Error() string {
	s := printable(e.Message)
	if e.Path != "" {
		s = printable(e.Path) + ": " + s
	}
	if where := e.where(); where != "" {
		s = where + ": " + s
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

func (e *Error) where() string {
	switch {
	case e.File == "":
		return ""
	case e.Line == 0:
		return printable(e.File)
	}
	return fmt.Sprintf("%s:%d:%d", printable(e.File), e.Line, e.Column)
}

// Errors is everything that is wrong with a configuration, in the order of the
// files and their lines.
type Errors []*Error

// Error returns one line for each mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes, for errors.Is and errors.As.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// orNil keeps an empty list from being an error that is not nil.
func (es Errors) orNil() error {
	if len(es) == 0 {
		return nil
	}
	es.sort()
	return es
}

func (es Errors) sort() {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(a.order()-b.order(), a.Line-b.Line, a.Column-b.Column,
			strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message))
	})
}

// order puts what no file is to blame for last.
func (e *Error) order() int {
	if e.at.src == nil {
		return maxFiles + 1
	}
	return e.at.src.order
}
