package clerksim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// stored is an address as Clerk keeps and answers it.
func (s *Sim) stored(address string) string {
	if s.cfg.Switches.EchoAddress == EchoAddressAsSent {
		return address
	}
	address = strings.ToLower(address)
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	mailbox, domain := address[:at], address[at+1:]
	switch s.cfg.Switches.EchoAddress {
	case EchoAddressUndotted:
		mailbox = strings.ReplaceAll(mailbox, ".", "")
	case EchoAddressUnicode:
		if unicode, err := idna.Lookup.ToUnicode(domain); err == nil {
			domain = unicode
		}
	}
	return mailbox + "@" + domain
}

// key is what makes two spellings of an address one person.
func (s *Sim) key(address string) string { return strings.ToLower(s.stored(address)) }

// echoMetadata is metadata as Clerk answers it.
func (s *Sim) echoMetadata(sent json.RawMessage) json.RawMessage {
	mode := s.cfg.Switches.EchoMetadata
	if len(sent) == 0 {
		return json.RawMessage("{}")
	}
	if mode == EchoMetadataAsSent {
		return sent
	}
	d := json.NewDecoder(bytes.NewReader(sent))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return sent // it was read before
	}
	return rewrite(nil, v, mode == EchoMetadataChanged)
}

// rewrite renders v with its keys in descending order, an order that no client
// sends, and numbers in their shortest form. With lossy it also drops members
// that are null and rounds numbers to 64-bit floats, as a store of dynamically
// typed values may.
func rewrite(b []byte, v any, lossy bool) []byte {
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name, member := range v {
			if member != nil || !lossy {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		b = append(b, '{')
		for i, name := range slices.Backward(names) {
			if i < len(names)-1 {
				b = append(b, ',')
			}
			b = rewrite(append(rewrite(b, name, lossy), ':'), v[name], lossy)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, element := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = rewrite(b, element, lossy)
		}
		return append(b, ']')
	case json.Number:
		short := v.String()
		if f, err := v.Float64(); err == nil && (lossy || strings.ContainsAny(short, ".eE")) {
			if s := strconv.FormatFloat(f, 'f', -1, 64); lossy || len(s) <= len(short) {
				short = s
			}
		}
		return append(b, short...)
	}
	text, _ := json.Marshal(v) // a string, a bool or null marshals
	return append(b, text...)
}
