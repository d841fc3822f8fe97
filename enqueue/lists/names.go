package lists

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// remark is what exports write behind a name to say that it is asked for.
var remark = regexp.MustCompile(`(?i)\s*[\[(](required|optional|mandatory)[\])]\s*$`)

// nameKey is the form in which two names of a column are the same: letters and
// digits only, in lower case, without accents. A byte order mark goes too, and
// what is left of one that somebody has read as Latin-1.
func nameKey(name string) string {
	name = remark.ReplaceAllString(strings.TrimPrefix(name, "ï»¿"), "")
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKD.String(name))
}

// ownNames are the fields by the keys of their names.
var ownNames = func() map[string]string {
	m := map[string]string{"email": emailField}
	for field := range fields {
		m[nameKey(field)] = field
	}
	return m
}()

// addressNames are what other programs call the column with the address, the more
// certain ones first. If a list has several, the first kind counts.
var addressNames = [][]string{
	{ // The one among several.
		"primary email", "primary email address", "email primary", "main email", "preferred email", "default email",
		"primäre E-Mail-Adresse", "adresse e-mail principale",
	},
	{ // The same in other words, and in other languages.
		"mail", "mail address", "email addr", "email id", "emails", "email addresses", "user email", "user mail", "contact email", "member email",
		"customer email", "subscriber email", "subscriber", "invitee email", "attendee email", "participant email", "recipient email", "recipient",
		"account email", "login email", "sign in email", "profile email", "registration email", "billing email", "person email",
		"E-Mail-Adresse", "E-Mail Adressen", "Mailadresse", "adresse e-mail", "adresse mail", "adresse électronique", "adresse de messagerie", "courriel", "adresse de courriel", "adresse courriel",
		"courrier électronique", "adresse de courrier électronique",
		"correo electrónico", "correo", "dirección de correo electrónico", "dirección de correo", "endereço de email", "endereço de e-mail",
		"endereço de correio eletrónico", "correio eletrónico", "indirizzo email", "indirizzo e-mail", "indirizzo di posta elettronica", "posta elettronica",
		"e-mailadres", "e-mail-adresse", "e-postadress", "e-post", "e-postadresse", "sähköposti", "sähköpostiosoite", "adres e-mail", "e-mailová adresa", //nolint:misspell // Polish
		"e-mail cím", "e-posta", "e-posta adresi", "электронная почта", "почта", "эл. почта", "メール", "メールアドレス", "电子邮件", "邮箱", "电子邮箱", "電子郵件", "이메일",
	},
	{ // The first of several, without a hint which is meant.
		"email 1", "email 1 value", "email 1 address", "emails 0 value", "email address 1", "work email", "work email address", "email work", "work mail",
		"business email", "company email", "office email", "personal email", "personal email address", "email personal", "home email", "email home",
		"private email", "person email work", "person email home",
	},
	{"user principal name"}, // Its address need not receive mail.
}

var addressRank = func() map[string]int {
	ranks := map[string]int{}
	for n, names := range addressNames {
		for _, name := range names {
			ranks[nameKey(name)] = n
		}
	}
	return ranks
}()

// usualNames are those by which a row of names is known, even if none of them names
// the address.
var usualNames = []string{
	"id", "name", "first name", "last name", "full name", "surname", "given name", "family name", "username", "user name", "nickname", "phone", "phone number", "mobile",
	"company", "organization", "organisation", "title", "position", "role", "status", "created", "created at", "date", "timestamp", "notes", "tags", "group", "groups",
	"city", "country", "language", "department", "team", "address", "Name", "Vorname", "Nachname", "nom", "prénom", "nombre", "apellidos", "cognome",
}

// namesColumns reports whether a row names columns rather than being a person's.
func namesColumns(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		key := nameKey(name)
		return ownNames[key] != "" || slices.ContainsFunc(usualNames, func(usual string) bool { return nameKey(usual) == key })
	})
}

// notTheirs begin the names of columns that hold an address, but not the person's.
var notTheirs = []string{
	"second", "secondary", "recovery", "alternate", "alternative", "backup", "other", "additional", "cc", "bcc", "previous", "old", "last", "former",
	"manager", "parent", "guardian", "referrer", "referral", "referredby", "assistant", "supervisor", "owner", "sender", "creator", "invitedby", "from", "replyto",
	"support", "unsubscribedfrom", "bounced", "home2", "work2",
}

// rankOf says how certain it is that a key names the address, 0 the most; false
// when it does not.
func rankOf(key string) (int, bool) {
	if rank, ok := addressRank[key]; ok {
		return rank, true
	}
	for _, end := range []string{"emailaddress", "email", "emailadresse", "emailid"} {
		if whose, ok := strings.CutSuffix(key, end); ok {
			return len(addressNames), whose != "" && !slices.ContainsFunc(notTheirs, func(w string) bool { return strings.HasPrefix(whose, w) })
		}
	}
	return 0, false
}

// misspelt returns the field that a key comes close to; "" if it is none. For the
// address it is asked only when no other column has it.
func misspelt(key string, wantsAddress bool) string {
	for own, field := range ownNames {
		slack := 0
		switch {
		case field == emailField && !wantsAddress:
		case len(own) >= 10:
			slack = 2
		case len(own) >= 5:
			slack = 1
		}
		if slack > 0 && Distance(own, key) <= slack {
			return field
		}
	}
	return ""
}

// providers are where people have most of the addresses that others misspell.
var providers = []string{"gmail.com", "hotmail.com", "icloud.com", "outlook.com", "yahoo.com"}

// misspeltDomain reports whether the domain of an address is one letter away from a
// large provider's: the mail would go to a stranger, or nowhere. It cannot be taken back.
func misspeltDomain(address string) bool {
	domain := address[strings.LastIndexByte(address, '@')+1:]
	return slices.ContainsFunc(providers, func(p string) bool {
		return strings.HasPrefix(domain, p[:1]) && Distance(domain, p) == 1 // mail.com and ymail.com are others.
	})
}

// Distance counts the letters to change, add, leave out or swap with their
// neighbour (optimal string alignment).
func Distance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return 3 // Far enough.
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
