package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Trouble is what is wrong with Redis, in words for a person.
type Trouble struct {
	Kind  Kind
	Place string // Where Redis is: see Place.
	Err   error  // What go-redis said. It may quote what a command was given: do not show it.
	what  string // What it is about, in some kinds: a command, a reason.
}

// Error says where, what is wrong, and what to do.
func (t *Trouble) Error() string {
	cause, advice := t.words()
	return "Redis at " + t.Place + " " + cause + ": " + advice
}

// Advice is Error for those who know where Redis is, such as a worker's /readyz.
func (t *Trouble) Advice() string {
	cause, advice := t.words()
	return "Redis " + cause + ": " + advice
}

func (t *Trouble) words() (cause, advice string) {
	w := words[t.Kind]
	if strings.Contains(w.cause, "%s") {
		return fmt.Sprintf(w.cause, t.what), w.advice
	}
	return w.cause, w.advice
}

// Unwrap returns what go-redis said.
func (t *Trouble) Unwrap() error { return t.Err }

// Kind is a kind of trouble: a stable word.
type Kind string

// The kinds. Those of the first group are mistakes in the configuration, which
// do not pass by themselves.
const (
	WrongLogin   Kind = "login"           // user and password are refused
	NoLogin      Kind = "no_login"        // it wants some, and got none
	NoRight      Kind = "no_right"        // its ACL forbids a command, a key or a channel
	NoCommand    Kind = "no_command"      // a command is renamed, or missing
	IsCluster    Kind = "is_cluster"      // a node of a Cluster behind the URL of one server
	NoCluster    Kind = "no_cluster"      // the reverse
	IsSentinel   Kind = "is_sentinel"     // a sentinel behind the URL of a server
	NoSentinel   Kind = "no_sentinel"     // the reverse
	NoMaster     Kind = "no_master"       // the sentinels do not know the master's name
	Protected    Kind = "protected_mode"  //
	NoDatabase   Kind = "no_database"     // the database's number is out of range
	UnknownCA    Kind = "unknown_ca"      // the server's certificate is made by an authority that is not trusted
	BadCert      Kind = "bad_certificate" // it is out of date, or for another name
	WantsCert    Kind = "wants_client_certificate"
	SpeaksNoTLS  Kind = "no_tls"
	SpeaksTLS    Kind = "tls" // or something else hangs up on our first word
	NoDurability Kind = "no_durability"

	Unreachable Kind = "unreachable"
	IsReplica   Kind = "is_replica" // or a failover is under way
	Full        Kind = "full"
	NearlyFull  Kind = "nearly_full" // for an import
	NoDisk      Kind = "disk"
	Loading     Kind = "loading"
	ClusterDown Kind = "cluster_down"
	MasterDown  Kind = "master_down"
	NoReplicas  Kind = "no_replicas"
	MaxClients  Kind = "max_clients"
	Busy        Kind = "busy"
	Other       Kind = "refused" // it answers with an error that we have no words for
)

var words = map[Kind]struct{ cause, advice string }{
	WrongLogin:  {"refuses the login", "check user and password in REDIS_URL; one of @ : / ? # [ ] % in them must be percent-encoded (%40 for @)"},
	NoLogin:     {"wants a login", "put user and password into REDIS_URL, as in redis://user:password@host:6379/0"},
	NoRight:     {"does not let this user do what is needed (%s)", "give the user the rights that deployments/redis.acl lists"},
	NoCommand:   {"does not know a command that is needed (%s)", "it is renamed, or this service leaves it out; inviteq needs Redis 6.2 or later with Lua scripts"},
	IsCluster:   {"is a node of a Cluster, and REDIS_URL names a single server", "use redis-cluster://host:port,host:port"},
	NoCluster:   {"is no Cluster, and REDIS_URL names one", "use redis://host:port/0"},
	IsSentinel:  {"is a sentinel, and REDIS_URL names a server", "use redis-sentinel://host:26379,host:26379/0?master=NAME"},
	NoSentinel:  {"is no sentinel, and REDIS_URL names sentinels", "give the sentinels' own port (26379), or use redis://host:6379/0 for the server itself"},
	NoMaster:    {"does not know the master of that name", "check ?master= in REDIS_URL against `SENTINEL masters`"},
	Protected:   {"is in protected mode, and so refuses other machines", "give it a password (requirepass, or a user with an ACL) and put that into REDIS_URL"},
	NoDatabase:  {"has no database of that number", "choose a smaller one at the end of REDIS_URL; 0 is always there"},
	UnknownCA:   {"shows a certificate of an authority that is not trusted", "name the authority's file with REDIS_CA_FILE"},
	BadCert:     {"shows a certificate that does not fit (%s)", "connect by a name that is in it, or renew it"},
	WantsCert:   {"wants a client certificate", "name one, and its key, with REDIS_CERT_FILE and REDIS_KEY_FILE"},
	SpeaksNoTLS: {"does not speak TLS there", "use redis:// in place of rediss://, or the server's TLS port"},
	SpeaksTLS:   {"hangs up on the first word", "if the port speaks TLS, use rediss:// in place of redis://; else look at the server's log"},
	NoDurability: {"cannot promise what INVITEQ_DURABILITY asks for (%s)",
		"change the server, or choose a durability that it can keep"},

	Unreachable: {"cannot be reached (%s)", "start it, or set REDIS_URL"},
	IsReplica:   {"is a replica, which takes no writes", "name the master, or its sentinels (redis-sentinel://…?master=NAME); while it fails over this passes by itself"},
	Full: {"is full (maxmemory), so new invites are refused; those that it has are delivered",
		"give it memory, and never an eviction policy other than noeviction"},
	NearlyFull: {"has used %s of its maxmemory, and takes no new import above nine tenths",
		"give it memory, or wait until what waits is delivered and forgotten; single invites are accepted until it is full, and the same import goes on where it was"},
	NoDisk:      {"cannot write to its disk, and so refuses writes", "look at its log, and make room on the disk"},
	Loading:     {"is loading its data from disk", "it answers again once that is done"},
	ClusterDown: {"says that its Cluster is down", "a part of the keys has no master: start the nodes that are missing"},
	MasterDown:  {"is a replica that has lost its master", "start the master, or let a failover finish"},
	NoReplicas:  {"has fewer replicas than its min-replicas-to-write, and so refuses writes", "start the replicas that are missing"},
	MaxClients:  {"takes no more connections", "raise its maxclients, or look for what holds so many"},
	Busy:        {"is busy with a script", "wait for it, or end it with SCRIPT KILL"},
	Other:       {"answers with an error (%s)", "look at the server's log"},
}

// Missing explains that the user lacks rights, which are listed.
func Missing(place, rights string) error {
	return &Trouble{Kind: NoRight, Place: place, Err: errors.New("rights are missing"), what: rights}
}

// Explain puts words to an error of a call to Redis. What is not about Redis, and
// what has its words already, comes back as it is.
func Explain(place string, err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*Trouble](err); done {
		return err
	}
	kind, what := kindOf(err)
	if kind == "" {
		return err
	}
	return &Trouble{Kind: kind, Place: place, Err: err, what: what}
}

// KindOf returns the kind of trouble that an error tells of; "" if it is none of
// Redis.
func KindOf(err error) Kind {
	if t, ok := errors.AsType[*Trouble](err); ok {
		return t.Kind
	}
	kind, _ := kindOf(err)
	return kind
}

// answers tell the kind by a word of Redis's answer. The word may stand behind
// others: Redis may refuse in the middle of a script, and asynq keeps no more of
// an error than its text.
var answers = []struct {
	word string
	kind Kind
}{
	{"WRONGPASS", WrongLogin},
	{"without any password configured", WrongLogin},
	{"NOAUTH", NoLogin},
	{"NOPERM", NoRight},
	{"The user executing the script", NoRight}, // Redis 7.0, in a script
	{"ACL failure in script", NoRight},         // later ones
	{"MOVED", IsCluster},
	{"CROSSSLOT", IsCluster},
	{"cluster support disabled", NoCluster},
	{"DENIED", Protected},
	{"DB index is out of range", NoDatabase},
	{"No such master with that name", NoMaster},
	{"READONLY", IsReplica},
	{"OOM", Full},
	{"MISCONF", NoDisk},
	{"LOADING", Loading},
	{"CLUSTERDOWN", ClusterDown},
	{"MASTERDOWN", MasterDown},
	{"NOREPLICAS", NoReplicas},
	{"max number of clients reached", MaxClients},
	{"BUSY", Busy},
}

func kindOf(err error) (kind Kind, what string) {
	if err == nil || errors.Is(err, context.Canceled) {
		return "", ""
	}
	text := err.Error()
	if kind, what := said(text); kind != "" {
		return kind, what
	}
	if strings.Contains(text, "all sentinels specified in configuration are unreachable") {
		return kindOfSentinel(err, text)
	}
	if errors.Is(err, redis.Nil) {
		return "", ""
	}
	if kind, what := kindOfTLS(err, text); kind != "" {
		return kind, what
	}
	for _, a := range answers {
		if hasWord(text, a.word) {
			return a.kind, subject(a.kind, text)
		}
	}
	if i := strings.Index(text, "unknown command"); i >= 0 {
		return NoCommand, quoted(text[i:])
	}
	if _, ours := errors.AsType[redis.Error](err); ours && !strings.HasPrefix(text, "NOSCRIPT") && !strings.HasPrefix(text, "BUSYGROUP") {
		word, _, _ := strings.Cut(text, " ")
		return Other, word
	}
	return kindOfNetwork(err)
}

// said finds our own words in the text of an error: asynq has heard them from the
// hook that explains what Redis answers.
func said(text string) (kind Kind, what string) {
	for kind, w := range words {
		cause, about, _ := strings.Cut(w.cause, "%s")
		if _, after, ok := strings.Cut(text, " "+cause); ok && strings.HasSuffix(text, about+": "+w.advice) {
			what, _, _ = strings.Cut(after, about+": "+w.advice)
			return kind, what
		}
	}
	return "", ""
}

// hasWord reports whether a word stands in a text as a whole.
func hasWord(text, word string) bool {
	_, after, ok := strings.Cut(" "+text+" ", " "+word)
	return ok && strings.ContainsRune(" ,:.", rune(after[0]))
}

// kindOfSentinel looks at what go-redis says when no sentinel has named a master.
func kindOfSentinel(err error, text string) (Kind, string) {
	switch {
	case errors.Is(err, redis.Nil):
		return NoMaster, ""
	case strings.Contains(text, "unknown command"):
		return NoSentinel, ""
	}
	inner := errors.Unwrap(err)
	if inner == nil {
		return Unreachable, "no sentinel answers"
	}
	if kind, what := kindOf(inner); kind != "" && kind != Unreachable {
		return kind, what
	}
	return Unreachable, "no sentinel answers"
}

func kindOfTLS(err error, text string) (Kind, string) {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return UnknownCA, ""
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return BadCert, "it is for another name"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return BadCert, "it is out of date, or not valid yet"
		}
		return BadCert, "it is not valid"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return SpeaksNoTLS, ""
	}
	if strings.Contains(text, "tls: certificate required") || strings.Contains(text, "tls: bad certificate") ||
		strings.Contains(text, "tls: handshake failure") {
		return WantsCert, ""
	}
	if strings.Contains(text, "tls: unknown certificate authority") {
		return BadCert, "the server does not trust our client certificate"
	}
	return "", ""
}

const (
	hangsUp  = "it hangs up"
	noAnswer = "no answer"
)

func kindOfNetwork(err error) (Kind, string) {
	_, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Unreachable, "connection refused"
	case errors.Is(err, syscall.ENOENT):
		return Unreachable, "no such socket"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Unreachable, hangsUp
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return Unreachable, "all connections are in use"
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return Unreachable, "unknown host"
		}
		return Unreachable, "its name cannot be looked up"
	}
	if isNet || errors.Is(err, context.DeadlineExceeded) {
		return Unreachable, noAnswer
	}
	return "", ""
}

// subject is what a refusal is about. Of Redis's text nothing is shown but the
// name of a command: other parts may be arguments.
func subject(kind Kind, text string) string {
	if kind != NoRight {
		return ""
	}
	switch {
	case strings.Contains(text, "channel"):
		return "a channel"
	case strings.Contains(text, " key"):
		return "a key"
	}
	if command := quoted(text); command != "" {
		return "the command " + command
	}
	return "a command of a script"
}

// quoted returns the name of the command that Redis quotes in an error.
func quoted(text string) string {
	for _, quote := range []string{"'", "`"} {
		if _, rest, ok := strings.Cut(text, quote); ok {
			name, _, _ := strings.Cut(rest, quote)
			if len(name) <= 24 && strings.IndexFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '|' && r != '.' }) < 0 {
				return strings.ToLower(name)
			}
			return "?"
		}
	}
	return ""
}

// Refuses reports whether Redis itself will not do what it is asked, whoever
// asks. An error of a script, or "no such script", is not one.
func Refuses(err error) bool {
	return slices.Contains(refusing, KindOf(err))
}

var refusing = []Kind{NoRight, Full, NoDisk, Loading, IsReplica, NoLogin, WrongLogin, ClusterDown, MasterDown, NoReplicas, MaxClients, Protected}
