package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		url   string
		addrs string
		db    int
		user  string
		place string
		tls   string // the name that the certificate must have; "-": no TLS; "each": that of each host
	}{
		{"", "127.0.0.1:6379", 0, "", "127.0.0.1:6379/0", "-"},
		{"redis://cache", "cache:6379", 0, "", "cache:6379/0", "-"},
		{"redis://u:p%40ss@cache:1/3", "cache:1", 3, "u:p@ss", "cache:1/3", "-"},
		{"redis://u:p@ss@cache:1/3", "cache:1", 3, "u:p@ss", "cache:1/3", "-"},
		{"redis://[::1]:7/2", "[::1]:7", 2, "", "[::1]:7/2", "-"},
		{"rediss://cache", "cache:6379", 0, "", "cache:6379/0", "cache"},
		{"unix:///run/redis.sock?db=2", "/run/redis.sock", 2, "", "/run/redis.sock", "-"},
		{"unix://u:p@/run/redis.sock", "/run/redis.sock", 0, "u:p", "/run/redis.sock", "-"},
		{"redis-sentinel://u:p@a,b:7/4?master=m&sentinel_username=su&sentinel_password=sp", "a:26379,b:7", 4, "u:p", "a:26379,b:7/4 (Sentinel, master m)", "-"},
		{"rediss-sentinel://a/0?master=m", "a:26379", 0, "", "a:26379/0 (Sentinel, master m)", "each"},
		{"redis-cluster://u:p@a,[::1],c:7", "a:6379,[::1]:6379,c:7", 0, "u:p", "a:6379,[::1]:6379,c:7 (Cluster)", "-"},
		{"rediss-cluster://a", "a:6379", 0, "", "a:6379 (Cluster)", "each"},
	} {
		t.Run(test.url, func(t *testing.T) {
			o, err := redisconn.Parse(test.url, redisconn.Files{})
			if err != nil {
				t.Fatal(err)
			}
			user := ""
			if o.Username != "" {
				user = o.Username + ":" + o.Password
			}
			tls := "-"
			if o.TLSConfig != nil {
				if tls = o.TLSConfig.ServerName; tls == "" {
					tls = "each"
				}
			}
			got := []any{strings.Join(o.Addrs, ","), o.DB, user, redisconn.Place(o), tls}
			if diff := cmp.Diff([]any{test.addrs, test.db, test.user, test.place, test.tls}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(test.url, "sentinel_") && (o.SentinelUsername != "su" || o.SentinelPassword != "sp") {
				t.Errorf("the sentinels' login: %q, %q", o.SentinelUsername, o.SentinelPassword)
			}
			if o.IsClusterMode != strings.Contains(test.url, "cluster") {
				t.Errorf("cluster: %v", o.IsClusterMode)
			}
		})
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	certs := redistest.NewCertificates(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const encoded = "must be percent-encoded"
	for _, test := range []struct {
		url   string
		files redisconn.Files
		want  string
	}{
		{"localhost:6379", redisconn.Files{}, "must begin with redis://"},
		{"http://localhost:6379", redisconn.Files{}, "must begin with redis://"},
		{"redis://:s3cret/x@host:6379/0", redisconn.Files{}, encoded},
		{"redis://:s3cret#x@host:6379/0", redisconn.Files{}, encoded},
		{"redis://:s3cret?x@host:6379/0", redisconn.Files{}, encoded},
		{"redis://:s3cret%x@host:6379/0", redisconn.Files{}, encoded},
		{"redis-sentinel://:s3cret/x@h:1,i:2/0?master=m", redisconn.Files{}, encoded},
		{"redis://host:6379/zero", redisconn.Files{}, "must end in the number of a database"},
		{"redis://host:port/0", redisconn.Files{}, "has a port that is no number"},
		{"redis://host/0?dial_timeot=1s", redisconn.Files{}, "has a parameter that is not known (dial_timeot)"},
		{"redis://host/0?dial_timeout=soon", redisconn.Files{}, "has a parameter with a value that is not understood"},
		{"redis://a:1,b:2/0", redisconn.Files{}, "names several servers"},
		{"redis-sentinel://a:1/0", redisconn.Files{}, "must name the master"},
		{"redis-cluster://a:1/3", redisconn.Files{}, "a Cluster has only number 0"},
		{"unix://", redisconn.Files{}, "must name the path of a socket"},
		{"redis://host", redisconn.Files{CA: certs.CA}, "must begin with rediss://"},
		{"rediss://host", redisconn.Files{CA: empty}, "holds no certificate in PEM"},
		{"rediss://host", redisconn.Files{CA: "/nowhere"}, "the CA file (REDIS_CA_FILE) cannot be read: open /nowhere"},
		{"rediss://host", redisconn.Files{Cert: certs.ClientCert}, "give both REDIS_CERT_FILE and REDIS_KEY_FILE"},
		{"rediss://host", redisconn.Files{Cert: certs.ClientCert, Key: certs.ServerKey}, "the client certificate (REDIS_CERT_FILE, REDIS_KEY_FILE) cannot be used"},
	} {
		t.Run(test.url, func(t *testing.T) {
			_, err := redisconn.Parse(test.url, test.files)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want …%s…", err, test.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("it quotes the password: %v", err)
			}
		})
	}
}

// dialed is what the first call says to a server behind a URL.
func dialed(t *testing.T, url string, files redisconn.Files) error {
	t.Helper()
	o, err := redisconn.Parse(url, files)
	if err != nil {
		t.Fatal(err)
	}
	o.MaxRetries, o.DialTimeout = -1, 2*time.Second
	rdb := redisconn.New(o)
	t.Cleanup(func() { _ = rdb.Close() })
	_, err = redisconn.Check(t.Context(), rdb, redisconn.Place(o))
	return err
}

// TestEachMistakeHasItsSentence makes the mistakes that people make, with servers
// that are real.
func TestEachMistakeHasItsSentence(t *testing.T) {
	t.Parallel()
	plain := redistest.StartTCP(t)
	login := redistest.StartTCP(t, "--requirepass", "s3cret")
	certs, others := redistest.NewCertificates(t), redistest.NewCertificates(t)
	both := redistest.StartTLS(t, certs)
	serverOnly := redistest.StartTLS(t, certs, "--tls-auth-clients", "no")
	other := redistest.StartTLS(t, certs, "--bind", "127.0.0.2", "--tls-auth-clients", "no")
	sentinels := redistest.StartSentinels(t, 1)
	cluster := redistest.StartCluster(t, 0)
	closed := closedPort(t)
	trust := redisconn.Files{CA: certs.CA}

	_, port, _ := net.SplitHostPort(other.Addr)

	for _, test := range []struct {
		name, url string
		files     redisconn.Files
		kind      redisconn.Kind
		want      string
	}{
		{"nobody there", "redis://" + closed, redisconn.Files{}, redisconn.Unreachable, "cannot be reached (connection refused): start it, or set REDIS_URL"},
		{"no such socket", "unix:///nowhere.sock", redisconn.Files{}, redisconn.Unreachable, "no such socket"},
		{"unknown host", "redis://host.invalid", redisconn.Files{}, redisconn.Unreachable, "cannot be reached"},
		{"no login", "redis://" + login.Addr, redisconn.Files{}, redisconn.NoLogin, "wants a login"},
		{"wrong login", "redis://:wrong@" + login.Addr, redisconn.Files{}, redisconn.WrongLogin, "percent-encoded"},
		{"no such database", "redis://" + plain.Addr + "/99", redisconn.Files{}, redisconn.NoDatabase, "has no database of that number"},
		{"a node of a Cluster", "redis://" + cluster.Masters[0].Addr, redisconn.Files{}, redisconn.IsCluster, "use redis-cluster://"},
		{"no Cluster", "redis-cluster://" + plain.Addr, redisconn.Files{}, redisconn.NoCluster, "use redis://"},
		{"a sentinel's port", "redis://" + sentinels.Sentinels[0].Addr, redisconn.Files{}, redisconn.IsSentinel, "use redis-sentinel://"},
		{"a sentinel's port, another database", "redis://" + sentinels.Sentinels[0].Addr + "/1", redisconn.Files{}, redisconn.IsSentinel, "use redis-sentinel://"},
		{"a sentinel as a Cluster", "redis-cluster://" + sentinels.Sentinels[0].Addr, redisconn.Files{}, redisconn.NoCluster, "is no Cluster"},
		{"no sentinel", "redis-sentinel://" + plain.Addr + "/0?master=m", redisconn.Files{}, redisconn.NoSentinel, "is no sentinel"},
		{"no such master", "redis-sentinel://" + sentinels.Sentinels[0].Addr + "/0?master=other", redisconn.Files{}, redisconn.NoMaster, "does not know the master of that name"},
		{"no sentinel there", "redis-sentinel://" + closed + "/0?master=m", redisconn.Files{}, redisconn.Unreachable, "no sentinel answers"},
		{"a replica", "redis://" + sentinels.Servers[1].Addr, redisconn.Files{}, redisconn.IsReplica, "is a replica, which takes no writes"},
		{"an authority that is not trusted", "rediss://" + both.Addr, redisconn.Files{CA: others.CA}, redisconn.UnknownCA, "REDIS_CA_FILE"},
		{"a client certificate is wanted", "rediss://" + both.Addr, trust, redisconn.WantsCert, "REDIS_CERT_FILE"},
		{"a client certificate of another authority", "rediss://" + both.Addr, redisconn.Files{CA: certs.CA, Cert: others.ClientCert, Key: others.ClientKey}, redisconn.BadCert, "does not trust our client certificate"},
		{"another name", "rediss://127.0.0.2:" + port, trust, redisconn.BadCert, "it is for another name"},
		{"TLS is not spoken", "rediss://" + plain.Addr, trust, redisconn.Unreachable, "no answer to TLS; does this port speak it?"},
		{"TLS is spoken", "redis://" + serverOnly.Addr, redisconn.Files{}, redisconn.SpeaksTLS, "use rediss://"},

		{"well", "redis://" + plain.Addr, redisconn.Files{}, "", ""},
		{"well, with a login", "redis://:s3cret@" + login.Addr, redisconn.Files{}, "", ""},
		{"well, TLS", "rediss://" + serverOnly.Addr, trust, "", ""},
		{"well, TLS both ways", "rediss://" + both.Addr, redisconn.Files{CA: certs.CA, Cert: certs.ClientCert, Key: certs.ClientKey}, "", ""},
		{"well, unverified", "rediss://" + serverOnly.Addr + "/0?skip_verify=true", redisconn.Files{}, "", ""},
		{"well, sentinels", sentinels.URL(), redisconn.Files{}, "", ""},
		{"well, a Cluster", cluster.URL(), redisconn.Files{}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := dialed(t, test.url, test.files)
			if test.kind == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			trouble, ok := errors.AsType[*redisconn.Trouble](err)
			if !ok {
				t.Fatalf("got %v (%T)", err, err)
			}
			if trouble.Kind != test.kind || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %s: %v\nfrom: %v", trouble.Kind, err, trouble.Err)
			}
			if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "wrong@") {
				t.Errorf("it quotes the password: %v", err)
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// refusal is an answer of Redis.
type refusal string

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	os.Exit(redistest.Main(m))
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

func TestExplainShowsNoArgument(t *testing.T) {
	const canary = "ada@example.com"
	for _, test := range []struct {
		err  error
		kind redisconn.Kind
	}{
		{refusal("ERR unknown command 'EVALSHA', with args beginning with: 'f00' '1' '" + canary + "' "), redisconn.NoCommand},
		{refusal("ERR unknown command `HSET`, with args beginning with: `" + canary + "`, "), redisconn.NoCommand},
		{refusal("ERR something else about " + canary), redisconn.Other},
		{refusal("NOPERM User worker has no permissions to run the 'eval' command " + canary), redisconn.NoRight},
		{refusal("NOPERM No permissions to access a key " + canary), redisconn.NoRight},
		{refusal("OOM command not allowed when used memory > 'maxmemory'. script: f00, on @user_script:3."), redisconn.Full},
		{fmt.Errorf("UNKNOWN: redis eval error: %w", refusal("MISCONF Redis is configured to save RDB snapshots")), redisconn.NoDisk},
		{errors.New("UNKNOWN: redis eval error: OOM command not allowed"), redisconn.Full},
		{refusal("DENIED Redis is running in protected mode because"), redisconn.Protected},
		{refusal("MOVED 3999 127.0.0.1:6381"), redisconn.IsCluster},
		{refusal("ERR The user executing the script can't run this command or subcommand script: f00, on @user_script:5."), redisconn.NoRight},
		{refusal("ERR ACL failure in script: User worker has no permissions to run the 'xadd' command script: f00"), redisconn.NoRight},
		{refusal("ERR max number of clients reached"), redisconn.MaxClients},
		{context.DeadlineExceeded, redisconn.Unreachable},
	} {
		err := redisconn.Explain("host:1/0", test.err)
		if got := redisconn.KindOf(err); got != test.kind {
			t.Errorf("%v: got %q, want %q", test.err, got, test.kind)
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("an argument is shown: %v", err)
		}
		if !errors.Is(err, test.err) {
			t.Errorf("%v: the cause is lost", err)
		}
		if again := redisconn.Explain("elsewhere", fmt.Errorf("open: %w", err)); !strings.HasPrefix(again.Error(), "open: Redis at host:1/0 ") {
			t.Errorf("explained twice: %v", again)
		}
		// asynq keeps no more of an error than its text.
		asynqs := errors.New("UNKNOWN: redis eval error: " + err.Error())
		if again := redisconn.Explain("host:1/0", asynqs); again.Error() != err.Error() {
			t.Errorf("by way of asynq %q became %q", err, again)
		}
	}
	for _, err := range []error{nil, redis.Nil, context.Canceled, errors.New("not about it"), refusal("NOSCRIPT No matching script"), refusal("BUSYGROUP Consumer Group name already exists")} {
		if got := redisconn.Explain("host", err); !errors.Is(got, err) || redisconn.KindOf(got) != "" {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	const key = "inviteq:{default}:meta"
	identify := func(url string) redisconn.Identity {
		t.Helper()
		o, err := redisconn.Parse(url, redisconn.Files{})
		if err != nil {
			t.Fatal(err)
		}
		rdb := redisconn.New(o)
		t.Cleanup(func() { _ = rdb.Close() })
		id, err := redisconn.Identify(t.Context(), rdb, key)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	one := redistest.StartTCP(t)
	first := identify("redis://" + one.Addr)
	if !first.Known || len(first.RunID) != 40 || len(first.ReplID) != 40 || first.Role != "master" || !strings.HasPrefix(first.Version, "7.") {
		t.Errorf("got %+v", first)
	}
	one.Kill()
	if err := one.Restart(); err != nil {
		t.Fatal(err)
	}
	if second := identify("redis://" + one.Addr); second.RunID == first.RunID {
		t.Error("a restart has left the run id as it was")
	}

	cluster := redistest.StartCluster(t, 1)
	many := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{cluster.Masters[0].Addr}})
	t.Cleanup(func() { _ = many.Close() })
	if err := many.Set(t.Context(), key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	of := identify(cluster.URL())
	owner := ""
	for _, master := range cluster.Masters {
		if id := identify("unix://" + master.Socket); id.RunID == of.RunID {
			owner = master.Addr
		}
	}
	if owner == "" || of.Role != "master" || of.Offset == 0 {
		t.Errorf("no master is %+v", of)
	}

	forbidden := redistest.StartTCP(t, "--user", "u", "on", "nopass", "~*", "+@all", "-info")
	if id := identify("redis://u:x@" + forbidden.Addr); id.Known {
		t.Errorf("INFO is forbidden: got %+v", id)
	}
}

// TestClusterFindsThePromotedReplica kills a master of a Cluster. By itself go-redis
// would ask the dead node for a minute.
func TestClusterFindsThePromotedReplica(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 1)
	o, err := redisconn.Parse(cluster.URL(), redisconn.Files{})
	if err != nil {
		t.Fatal(err)
	}
	rdb := redisconn.New(o)
	t.Cleanup(func() { _ = rdb.Close() })
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	is, err := redisconn.Identify(t.Context(), rdb, "k")
	if err != nil {
		t.Fatal(err)
	}
	for _, master := range cluster.Masters {
		if id, err := redisconn.Identify(t.Context(), master.Client(t), "k"); err == nil && id.RunID == is.RunID {
			master.Kill()
		}
	}
	var promoted time.Time
	redistest.Await(t, "a replica is promoted", func(ctx context.Context) bool {
		_ = rdb.Set(ctx, "k", "v", 0)
		for _, replica := range cluster.Replicas {
			if id, err := redisconn.Identify(ctx, replica.Client(t), "k"); err == nil && id.Role == "master" {
				promoted = time.Now()
				return true
			}
		}
		return false
	})
	redistest.Await(t, "it is found", func(ctx context.Context) bool { return rdb.Set(ctx, "k", "v", 0).Err() == nil })
	if took := time.Since(promoted); took > 15*time.Second {
		t.Errorf("it took %s to find the new master", took)
	}
}

// TestSentinelsLeadToTheNewMaster kills a master: the same client finds the next one.
func TestSentinelsLeadToTheNewMaster(t *testing.T) {
	t.Parallel()
	all := redistest.StartSentinels(t, 1)
	o, err := redisconn.Parse(all.URL(), redisconn.Files{})
	if err != nil {
		t.Fatal(err)
	}
	rdb := redisconn.New(o)
	t.Cleanup(func() { _ = rdb.Close() })
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	before, err := redisconn.Identify(t.Context(), rdb, "k")
	if err != nil {
		t.Fatal(err)
	}
	redistest.Await(t, "the replica has it", func(ctx context.Context) bool {
		n, err := all.Servers[1].Client(t).Exists(ctx, "k").Result()
		return err == nil && n == 1
	})
	all.Servers[0].Kill()
	redistest.Await(t, "the new master takes writes", func(ctx context.Context) bool { return rdb.Set(ctx, "k2", "v", 0).Err() == nil })
	after, err := redisconn.Identify(t.Context(), rdb, "k")
	if err != nil {
		t.Fatal(err)
	}
	if after.RunID == before.RunID || after.ReplID == before.ReplID || after.Role != "master" {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	if got := rdb.Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("got %q", got)
	}
}
