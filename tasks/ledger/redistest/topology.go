package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartTCP is Start for a server that listens on a port of this machine as well:
// see Server.Addr.
func StartTCP(tb testing.TB, args ...string) *Server {
	tb.Helper()
	for try := 1; ; try++ {
		port := freePort(tb)
		s, err := start(append([]string{"--port", port, "--bind", "127.0.0.1"}, args...)...)
		if err == nil {
			s.Addr = net.JoinHostPort("127.0.0.1", port)
			tb.Cleanup(s.remove)
			return s
		}
		if try == 3 { // Another process may have taken the port meanwhile.
			tb.Fatal(err)
		}
	}
}

// StartTLS is StartTCP for a server whose port speaks TLS only, and asks for a
// client's certificate unless the arguments say otherwise.
func StartTLS(tb testing.TB, c Certificates, args ...string) *Server {
	tb.Helper()
	port := freePort(tb)
	s, err := start(append(append([]string{"--bind", "127.0.0.1"}, c.ServerArgs(port)...), args...)...)
	if err != nil {
		tb.Fatal(err)
	}
	s.Addr = net.JoinHostPort("127.0.0.1", port)
	tb.Cleanup(s.remove)
	return s
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	return port
}

// Sentinels are a master with replicas, and the sentinels that watch them.
type Sentinels struct {
	Master    string // Its name.
	Servers   []*Server
	Sentinels []*Server
}

// StartSentinels runs a master, so many replicas, and three sentinels that take a
// server for dead after half a second.
func StartSentinels(tb testing.TB, replicas int, args ...string) *Sentinels {
	tb.Helper()
	all := &Sentinels{Master: "mymaster"}
	master := StartTCP(tb, args...)
	all.Servers = append(all.Servers, master)
	host, port, _ := net.SplitHostPort(master.Addr)
	for range replicas {
		all.Servers = append(all.Servers, StartTCP(tb, append([]string{"--replicaof", host + " " + port}, args...)...))
	}
	Await(tb, "the replicas follow", func(ctx context.Context) bool {
		info, err := master.Client(tb).Info(ctx, "replication").Result()
		return err == nil && strings.Count(info, "state=online") == replicas
	})
	for range 3 {
		all.Sentinels = append(all.Sentinels, startSentinel(tb, all.Master, host, port))
	}
	for _, s := range all.Sentinels {
		c := redis.NewSentinelClient(&redis.Options{Addr: s.Addr})
		tb.Cleanup(func() { _ = c.Close() })
		Await(tb, "the sentinels know each other", func(ctx context.Context) bool {
			known, err := c.Master(ctx, all.Master).Result()
			return err == nil && known["num-slaves"] == strconv.Itoa(replicas) && known["num-other-sentinels"] == "2"
		})
	}
	return all
}

func startSentinel(tb testing.TB, name, host, port string) *Server {
	tb.Helper()
	dir := tb.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %s %s %s 2\nsentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 3000\n",
		name, host, port, name, name)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	own := freePort(tb)
	s := &Server{Socket: filepath.Join(shortDir(tb), "s.sock"), Addr: net.JoinHostPort("127.0.0.1", own), dir: dir}
	s.command = []string{conf, "--sentinel", "--port", own, "--bind", "127.0.0.1", "--unixsocket", s.Socket, "--dir", dir, "--loglevel", "warning"}
	if err := s.run(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.remove)
	return s
}

// shortDir is a folder whose name leaves room for that of a socket.
func shortDir(tb testing.TB) string {
	tb.Helper()
	dir, err := temporary()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// URL is what REDIS_URL would be.
func (s *Sentinels) URL() string {
	return "redis-sentinel://" + addrs(s.Sentinels) + "/0?master=" + s.Master
}

// Current returns the server that the sentinels call the master.
func (s *Sentinels) Current(tb testing.TB) *Server {
	tb.Helper()
	for _, one := range s.Sentinels {
		c := redis.NewSentinelClient(&redis.Options{Addr: one.Addr})
		at, err := c.GetMasterAddrByName(tb.Context(), s.Master).Result()
		_ = c.Close()
		if err != nil {
			continue
		}
		for _, server := range s.Servers {
			if server.Addr == net.JoinHostPort(at[0], at[1]) {
				return server
			}
		}
	}
	tb.Fatal("no sentinel names a master that is ours")
	return nil
}

// Cluster is a Redis Cluster: masters with a third of the slots each, and replicas.
type Cluster struct{ Masters, Replicas []*Server }

// StartCluster runs three masters, each with so many replicas; a node is taken for
// dead after a second.
func StartCluster(tb testing.TB, replicas int, args ...string) *Cluster {
	tb.Helper()
	own := append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000"}, args...)
	all := &Cluster{}
	const masters, slots = 3, 16384
	var nodes []*Server
	for n := range masters * (1 + replicas) {
		node := StartTCP(tb, append([]string{"--cluster-port", freePort(tb)}, own...)...)
		nodes = append(nodes, node)
		if n < masters {
			all.Masters = append(all.Masters, node)
		} else {
			all.Replicas = append(all.Replicas, node)
		}
	}
	ctx := tb.Context()
	first := all.Masters[0].Client(tb)
	for n, master := range all.Masters {
		from, to := n*slots/masters, (n+1)*slots/masters-1
		if err := master.Client(tb).ClusterAddSlotsRange(ctx, from, to).Err(); err != nil {
			tb.Fatal(err)
		}
	}
	for _, node := range nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr)
		bus, err := node.Client(tb).ConfigGet(ctx, "cluster-port").Result()
		if err != nil {
			tb.Fatal(err)
		}
		if err := first.Do(ctx, "cluster", "meet", host, port, bus["cluster-port"]).Err(); err != nil {
			tb.Fatal(err)
		}
	}
	known := func(ctx context.Context) bool {
		for _, node := range nodes {
			info, err := node.Client(tb).ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", len(nodes))) {
				return false
			}
		}
		return true
	}
	Await(tb, "the nodes of the cluster know each other", known)
	for n, replica := range all.Replicas {
		id, err := all.Masters[n%masters].Client(tb).Do(ctx, "cluster", "myid").Text()
		if err != nil {
			tb.Fatal(err)
		}
		if err := replica.Client(tb).ClusterReplicate(ctx, id).Err(); err != nil {
			tb.Fatal(err)
		}
	}
	for _, master := range all.Masters {
		Await(tb, "the replicas follow", func(ctx context.Context) bool {
			info, err := master.Client(tb).Info(ctx, "replication").Result()
			return err == nil && strings.Count(info, "state=online") == replicas
		})
	}
	return all
}

// URL is what REDIS_URL would be.
func (c *Cluster) URL() string {
	return "redis-cluster://" + addrs(append(c.Masters[:3:3], c.Replicas...))
}

// Nodes are all of them.
func (c *Cluster) Nodes() []*Server { return append(c.Masters[:3:3], c.Replicas...) }

func addrs(servers []*Server) string {
	names := make([]string, len(servers))
	for n, s := range servers {
		names[n] = s.Addr
	}
	return strings.Join(names, ",")
}

// Await waits until something is true, for a minute at most.
func Await(tb testing.TB, what string, is func(ctx context.Context) bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	for !is(ctx) {
		select {
		case <-ctx.Done():
			tb.Fatalf("%s: not within a minute", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
