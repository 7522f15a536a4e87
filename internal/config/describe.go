package config

import (
	"fmt"
	"math"
	"reflect"
	"strings"
)

// describe says what a file has, in the words of expected.
func describe(n *node) string {
	switch n.kind {
	case mapping:
		return "a mapping"
	case sequence:
		return "a list"
	case nothing:
		return "nothing"
	}
	switch x := resolve(n).(type) {
	case bool:
		return quote(n.text)
	case int64, uint64:
		return "the number " + quote(n.text)
	case float64:
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return quote(n.text)
		}
		return "the number " + quote(n.text)
	}
	if n.quoted || !octal.MatchString(n.text) {
		return "the text " + quote(n.text)
	}
	return quote(n.text)
}

// legacy are the booleans of YAML 1.1 that are text in YAML 1.2.
var legacy = map[string]bool{"on": true, "yes": true, "y": true, "off": false, "no": false, "n": false}

// advice says how to write what was probably meant; it begins with "; ".
func advice(n *node, t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, _, integer := bounds(t)
	number := integer || t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64
	switch {
	case n.kind != scalar:
		if n.kind == sequence && len(n.items) == 1 && n.items[0].kind == shape(t) {
			return "; remove the dash or the brackets"
		}
		return ""
	case t.Kind() == reflect.Slice:
		return fmt.Sprintf("; write `[%s]`", printable(short(n.text)))
	case (t.Kind() == reflect.Struct || t.Kind() == reflect.Map) && colon(n):
		return "; put a space behind the colon"
	case t.Kind() == reflect.Bool:
		return booleanAdvice(n)
	case number && n.quoted && resolve(&node{kind: scalar, text: n.text}) != any(n.text):
		return "; remove the quotes"
	case number && !n.quoted && octal.MatchString(n.text):
		return octalAdvice(n.text, integer)
	}
	return ""
}

// shape is the kind of node that a type is read from.
func shape(t reflect.Type) kind {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return mapping
	case reflect.Slice:
		return sequence
	}
	return scalar
}

// colon tells `key:value`, which is text, from other text.
func colon(n *node) bool { return !n.quoted && strings.Contains(n.text, ":") }

func booleanAdvice(n *node) string {
	text := strings.ToLower(n.text)
	if b, ok := legacy[text]; ok && !n.quoted {
		return fmt.Sprintf("; in YAML 1.2 %s is text: write %t", quote(n.text), b)
	}
	if b, ok := legacy[text]; ok {
		return fmt.Sprintf("; write %t", b)
	}
	switch text {
	case "true", "false":
		return "; remove the quotes"
	case "1":
		return "; write true"
	case "0":
		return "; write false"
	}
	return ""
}

// octalAdvice offers both readings of 0755.
func octalAdvice(text string, integer bool) string {
	sign := strings.TrimRight(text, "0123456789_")
	digits := strings.TrimLeft(text[len(sign):], "0_")
	if digits == "" {
		digits = "0"
	}
	if integer && !strings.ContainsAny(digits, "89_") {
		return fmt.Sprintf("; a leading 0 is ambiguous: write %s%s, or %s0o%s for an octal number", sign, digits, sign, digits)
	}
	return fmt.Sprintf("; a leading 0 is ambiguous: write %s%s", sign, digits)
}

func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
