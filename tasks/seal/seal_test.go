package seal

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

var (
	one   = []byte("0123456789abcdef0123456789ABCD\xfb\xff")
	other = []byte("another key of thirty-two bytes!")
)

func parsed(t *testing.T, text string) Keys {
	t.Helper()
	keys, err := ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestParseKeys(t *testing.T) {
	std := base64.StdEncoding.EncodeToString(one)
	id := parsed(t, std)[0].ID()
	for _, text := range []string{std, base64.RawURLEncoding.EncodeToString(one), hex.EncodeToString(one), " \n" + std + "\n"} {
		if keys := parsed(t, text); len(keys) != 1 || keys[0].ID() != id {
			t.Errorf("%q gives %d keys, or another one", text, len(keys))
		}
	}
	if keys := parsed(t, std+", "+hex.EncodeToString(other)+"\n"); len(keys) != 2 || keys[0].ID() != id || keys[1].ID() == id {
		t.Error("two keys are not two")
	}
	if keys := parsed(t, " "); keys != nil {
		t.Error("nothing is a key")
	}
	for text, says := range map[string]string{
		"short":                        "must be 32 bytes",
		std + ",short":                 "key 2 of 2 must be 32 bytes",
		strings.Repeat("a", 64):        "not random",
		std + std:                      "must be 32 bytes",
		hex.EncodeToString(one) + "zz": "must be 32 bytes",
	} {
		if _, err := ParseKeys(text); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestSecret(t *testing.T) {
	first, second := parsed(t, hex.EncodeToString(one)), parsed(t, hex.EncodeToString(other))
	s, err := NewSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal("ada@example.com")
	if strings.Contains(sealed, "ada") || len(sealed) != len("ada@example.com")+Overhead || sealed == s.Seal("ada@example.com") {
		t.Error("it is not sealed, or always in the same way")
	}
	wrapped := first.Wrap(s, "here")
	again, err := append(second, first...).Unwrap(wrapped, "here")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := again.Open(sealed); text != "ada@example.com" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := again.Open(sealed[:len(sealed)-1] + "x"); !errors.Is(err, ErrSealed) {
		t.Errorf("changed: got %v", err)
	}
	if missing, ok := errors.AsType[*NoKeyError](second.mustFail(t, wrapped)); !ok || missing.Needed != first[0].ID() || missing.Needed != WrappedBy(wrapped) {
		t.Errorf("got %v", missing)
	}
	if _, err := first.Unwrap(wrapped, "elsewhere"); err == nil {
		t.Error("it belongs elsewhere, and is unwrapped")
	}
	if _, err := first.Unwrap(wrapped[:3], "here"); err == nil {
		t.Error("it is cut, and is unwrapped")
	}
	next, err := NewSecret(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Open(sealed); err == nil || string(next.Hash) != string(s.Hash) || string(next.Index) == string(s.Index) {
		t.Error("a later secret opens what an earlier one has sealed, or does not find what was hashed for good")
	}
}

func (k Keys) mustFail(t *testing.T, wrapped string) error {
	t.Helper()
	_, err := k.Unwrap(wrapped, "here")
	if err == nil {
		t.Fatal("it is unwrapped with another key")
	}
	return err
}
