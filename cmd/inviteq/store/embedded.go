package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/test/bufconn"
)

// embedded is a miniredis in this process that keeps a journal. It carries out one
// command at a time. The writes of a script are noted as they are made, with the time
// that the script sees, as Redis itself notes them; they are on disk before the script
// is answered. To read the journal is to make those writes again.
type embedded struct {
	mini  *miniredis.Miniredis
	dir   string
	runID string
	ended chan struct{}
	wire  *bufconn.Listener

	callers  sync.Map                    // *server.Peer of every connection
	recorder atomic.Pointer[server.Peer] // in whose name a command of a caller is carried out

	mu      sync.Mutex // held for a command
	writes  [][]string // that it has made so far
	journal *journal
	base    int64 // size of the journal when it was last made anew
	failed  error
}

// renewAt is how large the journal may grow before it is made anew from what it
// amounts to.
const renewAt = 64 << 20

// openEmbedded reads the journal of a folder. whole is what readJournal says.
func openEmbedded(dir string) (e *embedded, whole bool, err error) {
	id := make([]byte, 20)
	_, _ = rand.Read(id) // never fails
	e = &embedded{mini: miniredis.NewMiniRedis(), dir: dir, runID: hex.EncodeToString(id), ended: make(chan struct{})}
	first, err := e.mini.Dial() // It begins with its first connection.
	if err != nil {
		return nil, false, err
	}
	_ = first.Close() // nothing was written
	e.mini.ClockTTL(true)
	replayer := server.NewPeer(bufio.NewWriter(io.Discard))
	whole, err = readJournal(dir, func(s step) {
		e.mini.SetTime(s.At)
		for _, words := range s.Commands {
			e.mini.Server().Dispatch(replayer, words)
		}
	})
	if err != nil {
		e.mini.Close()
		return nil, false, err
	}
	e.mini.SetTime(time.Now())
	if err := e.renew(); err != nil {
		e.mini.Close()
		return nil, false, err
	}
	e.mini.Server().SetPreHook(e.hook)
	e.wire = bufconn.Listen(wireBuffer)
	go func() {
		for conn, err := e.wire.Accept(); err == nil; conn, err = e.wire.Accept() {
			e.mini.Server().ServeConn(conn)
		}
	}()
	return e, whole, nil
}

// wireBuffer is how much may be under way on a connection: more than a pipeline of ours.
const wireBuffer = 1 << 20

// What a command is to the journal; those that are not here are read, or written down.
var (
	// connection is between the connection and the server.
	connection = words("HELLO AUTH PING ECHO QUIT CLIENT COMMAND SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE PUBLISH PUBSUB")
	// noData changes nothing itself.
	noData = words("EVAL EVALSHA SCRIPT TIME MEMORY OBJECT XINFO CLUSTER")
	// notKept waits, or comes in parts, or is about another database: the journal would
	// be wrong about it. The ledger and asynq do without.
	notKept = words("MULTI EXEC DISCARD WATCH UNWATCH SELECT SWAPDB MOVE XREAD XREADGROUP BLPOP BRPOP BRPOPLPUSH BLMOVE BZMPOP BZPOPMAX BZPOPMIN")
)

func words(s string) []string { return strings.Fields(s) }

// hook is called before every command, those of scripts included.
func (e *embedded) hook(c *server.Peer, cmd string, args ...string) bool {
	if c == e.recorder.Load() || !e.isCaller(c) {
		if !slices.Contains(noData, cmd) && !e.mini.IsReadOnlyCommand(cmd) {
			e.writes = append(e.writes, slices.Concat([]string{cmd}, args))
		}
		return false
	}
	switch {
	case slices.Contains(connection, cmd):
		return false
	case slices.Contains(notKept, cmd):
		c.WriteError("ERR " + cmd + " is not served here")
	case cmd == "INFO" && len(args) == 1:
		c.WriteBulk("# Server\r\nredis_version:7.0.0\r\nrun_id:" + e.runID + "\r\nrole:master\r\nmaster_replid:" + e.runID + "\r\n")
	default:
		e.carryOut(c, cmd, args)
	}
	return true
}

// isCaller tells a connection from a script, whose commands come in the name of a peer
// that has a state from its beginning.
func (e *embedded) isCaller(c *server.Peer) bool {
	_, known := e.callers.Load(c)
	if !known && c.Ctx == nil {
		e.callers.Store(c, nil)
		c.OnDisconnect(func() { e.callers.Delete(c) })
		return true
	}
	return known
}

// carryOut does what a caller asks, and answers when it is on disk.
func (e *embedded) carryOut(c *server.Peer, cmd string, args []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil {
		c.WriteError(e.failed.Error())
		return
	}
	now := time.Now()
	e.mini.SetTime(now)
	var answer bytes.Buffer
	as := server.NewPeer(bufio.NewWriter(&answer))
	as.Ctx, as.Resp3 = c.Ctx, c.Resp3
	e.writes = nil
	e.recorder.Store(as)
	e.mini.Server().Dispatch(as, slices.Concat([]string{cmd}, args))
	as.Flush()
	c.Ctx = as.Ctx
	if len(e.writes) > 0 {
		err := e.journal.add(step{now, e.writes})
		if err == nil && e.journal.size > 2*e.base+renewAt {
			err = e.renew()
		}
		if err != nil {
			// What memory holds is ahead of the disk now: nobody may see it.
			e.failed = fmt.Errorf("MISCONF the journal cannot be written: %w", err)
			close(e.ended)
			c.WriteError(e.failed.Error())
			return
		}
	}
	c.WriteRaw(answer.String())
}

// renew writes a journal that is no longer than it must be.
func (e *embedded) renew() error {
	var steps []step
	for some := range slices.Chunk(e.dump(), dumpWords) {
		steps = append(steps, step{time.Now(), some})
	}
	made, err := newJournal(e.dir, steps)
	if err != nil {
		return err
	}
	if e.journal != nil {
		_ = e.journal.file.Close() // it has been replaced
	}
	e.journal, e.base = made, made.size
	return nil
}

// dumpWords is how many words a command of a dump has at most, and how many commands a
// step.
const dumpWords = 1000

// dump returns commands that make what Redis holds now.
func (e *embedded) dump() (commands [][]string) {
	db := e.mini.DB(0)
	add := func(command, key string, values ...string) {
		for part := range slices.Chunk(values, dumpWords) {
			commands = append(commands, append([]string{command, key}, part...))
		}
	}
	// No error: every key is there, and of the type that it is asked for.
	for _, key := range db.Keys() {
		switch db.Type(key) {
		case "string":
			value, _ := db.Get(key)
			add("SET", key, value)
		case "hash":
			fields, _ := db.HKeys(key)
			var pairs []string
			for _, f := range fields {
				pairs = append(pairs, f, db.HGet(key, f))
			}
			add("HSET", key, pairs...)
		case "list":
			values, _ := db.List(key)
			add("RPUSH", key, values...)
		case "set":
			members, _ := db.Members(key)
			add("SADD", key, members...)
		case "zset":
			scores, _ := db.SortedSet(key)
			var pairs []string
			for member, score := range scores {
				pairs = append(pairs, strconv.FormatFloat(score, 'g', -1, 64), member)
			}
			add("ZADD", key, pairs...)
		case "stream":
			entries, _ := db.Stream(key)
			for _, entry := range entries {
				commands = append(commands, append([]string{"XADD", key, entry.ID}, entry.Values...))
			}
		}
		if ttl := db.TTL(key); ttl > 0 {
			add("PEXPIRE", key, strconv.FormatInt(ttl.Milliseconds()+1, 10))
		}
	}
	return commands
}

func (e *embedded) connect(o *redis.UniversalOptions) {
	o.Addrs = []string{filepath.Join(e.dir, journalName)} // it is named, and not dialled
	o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { return e.wire.DialContext(ctx) }
}

func (e *embedded) done() <-chan struct{} { return e.ended }

func (e *embedded) err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

func (e *embedded) stop() error {
	_ = e.wire.Close() // no more connections
	e.mini.Close()
	if err := e.err(); err != nil {
		return err
	}
	return e.journal.file.Close()
}
