package redisconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// DefaultURL is where Redis is looked for unless a URL says otherwise.
const DefaultURL = "redis://127.0.0.1:6379/0"

// scheme is what the beginning of a URL stands for.
type scheme struct {
	tls, sentinel, cluster bool
	port                   string // of a host that names none
}

var schemes = map[string]scheme{
	"redis":           {port: "6379"},
	"rediss":          {port: "6379", tls: true},
	"redis-sentinel":  {port: "26379", sentinel: true},
	"rediss-sentinel": {port: "26379", sentinel: true, tls: true},
	"redis-cluster":   {port: "6379", cluster: true},
	"rediss-cluster":  {port: "6379", cluster: true, tls: true},
}

// A URL's errors are about the Redis URL; subject is what they begin with.
const subjectURL = "the Redis URL (REDIS_URL) "

const (
	wantURL = "must begin with redis://, rediss:// (TLS), unix://, redis-sentinel:// or redis-cluster:// " +
		"(rediss-sentinel:// and rediss-cluster:// for TLS), as in " + DefaultURL
	encode = "; a password or user name that contains one of @ : / ? # [ ] % must be percent-encoded: %40 stands for @, %2F for /, %23 for #"
)

// Parse understands a URL of Redis and the files that belong to its TLS. Without
// a URL it is DefaultURL. Query parameters are those of go-redis (dial_timeout,
// pool_size and so on; skip_verify=true trusts any certificate); those of a
// Sentinel URL are also master (required), sentinel_username and
// sentinel_password, which are for the sentinels themselves.
//
// The errors say what to change, and never quote the URL.
func Parse(raw string, files Files) (*redis.UniversalOptions, error) {
	if raw == "" {
		raw = DefaultURL
	}
	name, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New(subjectURL + wantURL)
	}
	s, known := schemes[name]
	if !known && name != "unix" {
		return nil, errors.New(subjectURL + wantURL)
	}
	hosts, plain, err := s.split(rest)
	if err != nil {
		return nil, err
	}
	plain.Scheme = name
	if known {
		plain.Scheme = "redis"
		if s.tls {
			plain.Scheme = "rediss"
		}
	}
	q := plain.Query()
	master, user, password := q.Get("master"), q.Get("sentinel_username"), q.Get("sentinel_password")
	if s.sentinel {
		for _, own := range []string{"master", "sentinel_username", "sentinel_password"} {
			q.Del(own)
		}
		plain.RawQuery = q.Encode()
	}
	simple, err := redis.ParseURL(plain.String())
	if err != nil {
		return nil, badURL(err, rest)
	}
	o := universal(simple)
	if known {
		o.Addrs = hosts
	}
	switch {
	case s.sentinel && master == "":
		return nil, errors.New(subjectURL + "must name the master that the sentinels watch, as in redis-sentinel://host:26379/0?master=mymaster")
	case s.sentinel:
		o.MasterName, o.SentinelUsername, o.SentinelPassword = master, user, password
	case s.cluster && o.DB != 0:
		return nil, errors.New(subjectURL + "names a database, and a Cluster has only number 0: leave it out")
	case s.cluster:
		o.IsClusterMode = true
	}
	if o.TLSConfig != nil && (s.sentinel || s.cluster) {
		o.TLSConfig.ServerName = "" // Every node has a name of its own: that of its host.
	}
	return o, files.apply(o)
}

// split takes the hosts out of what follows "scheme://", and returns a URL with
// the first of them, which the parsers of one server understand.
func (s scheme) split(rest string) (hosts []string, plain *url.URL, err error) {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	at := strings.LastIndex(authority, "@") + 1
	if s.port == "" {
		plain, err = url.Parse("unix://" + rest)
		if err != nil {
			return nil, nil, badURL(err, rest)
		}
		return nil, plain, nil
	}
	for host := range strings.SplitSeq(authority[at:], ",") {
		u, err := url.Parse("redis://" + host)
		if err != nil {
			return nil, nil, badURL(err, rest)
		}
		name, port := u.Hostname(), u.Port()
		if name == "" {
			name = "localhost"
		}
		if port == "" {
			port = s.port
		}
		hosts = append(hosts, net.JoinHostPort(name, port))
	}
	if len(hosts) > 1 && !s.sentinel && !s.cluster {
		return nil, nil, errors.New(subjectURL + "names several servers: use redis-cluster:// for a Cluster, redis-sentinel:// for sentinels")
	}
	plain, err = url.Parse("redis://" + authority[:at] + hosts[0] + tail)
	if err != nil {
		return nil, nil, badURL(err, rest)
	}
	if plain.Fragment != "" {
		return nil, nil, badURL(errors.New("it contains a #"), rest)
	}
	return hosts, plain, nil
}

// badURL says what is wrong with a URL. The parsers' own errors quote it.
func badURL(err error, rest string) error {
	text := "cannot be understood"
	reason := err.Error()
	switch {
	case strings.Contains(reason, "database number"), strings.Contains(reason, "URL path"):
		text = "must end in the number of a database, as in redis://host:6379/0"
	case strings.Contains(reason, "unexpected option"):
		// Only the names of parameters are quoted; go-redis lists them at the end.
		_, names, _ := strings.Cut(reason, "unexpected option: ")
		text = fmt.Sprintf("has a parameter that is not known (%s)", names)
	case strings.Contains(reason, "empty unix socket path"):
		text = "must name the path of a socket, as in unix:///run/redis/redis.sock"
	case strings.Contains(reason, "port"):
		text = "has a port that is no number"
	case strings.Contains(reason, "invalid ") && !strings.Contains(reason, "userinfo") && !strings.Contains(reason, "escape"):
		text = "has a parameter with a value that is not understood"
	}
	if strings.Contains(rest, "@") && !strings.Contains(reason, "unexpected option") {
		text += encode
	}
	return errors.New(subjectURL + text)
}

// universal takes over what a URL can set.
func universal(o *redis.Options) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		Protocol: o.Protocol, ClientName: o.ClientName,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns, MaxActiveConns: o.MaxActiveConns,
		MaxConcurrentDials: o.MaxConcurrentDials, PipelinePoolSize: o.PipelinePoolSize,
		PipelineReadBufferSize: o.PipelineReadBufferSize, PipelineWriteBufferSize: o.PipelineWriteBufferSize,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,

		DialerRetries:   1,    // Commands are tried again as it is.
		DisableIdentity: true, // CLIENT SETINFO, which older servers answer with an error.
		// Only Redis's cloud knows these; elsewhere they cost a call a connection.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// Place says where Redis is, for logs and errors: hosts and ports, the path of a
// socket, the name of a master; never a user name or a password.
func Place(o *redis.UniversalOptions) string {
	place := strings.Join(o.Addrs, ",")
	switch {
	case o.MasterName != "":
		place = fmt.Sprintf("%s/%d (Sentinel, master %s)", place, o.DB, o.MasterName)
	case o.IsClusterMode || len(o.Addrs) > 1:
		place += " (Cluster)"
	case !strings.HasPrefix(place, "/"):
		place = fmt.Sprintf("%s/%d", place, o.DB)
	}
	return place
}

// PlaceOf says where a client's Redis is, as far as the client itself tells.
func PlaceOf(rdb redis.UniversalClient) string {
	switch c := rdb.(type) {
	case *redis.Client:
		o := c.Options()
		if o.Addr == failoverAddr {
			return "the sentinels' master"
		}
		return Place(&redis.UniversalOptions{Addrs: []string{o.Addr}, DB: o.DB})
	case *redis.ClusterClient:
		return Place(&redis.UniversalOptions{Addrs: c.Options().Addrs, IsClusterMode: true})
	}
	return "the given address"
}

// failoverAddr is what go-redis calls the address of a client of sentinels.
const failoverAddr = "FailoverClient"
