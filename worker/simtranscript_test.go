package worker

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

var updateTranscripts = flag.Bool("update", false, "write the transcripts anew")

// TestTranscripts plays every scenario of testdata/transcripts in virtual time and
// compares what it says with the file. A line that begins with "> " is done; what
// the ledger and Clerk say then follows it. Comments and empty lines stay.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = newTranscript(t).play(string(want)) })
			if *updateTranscripts {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-want +got); `go test ./worker -run TestTranscripts -update` writes it anew:\n%s", file, diff)
			}
		})
	}
}

// transcript plays one file.
type transcript struct {
	t       *testing.T
	w       *world
	cfg     clerksim.Config
	running []*simWorker

	event string            // the last event of the ledger's that was told
	names map[string]string // Clerk's ids → #1, #2, …
	said  map[string]string // what was last said of an invitation
	asked []string          // ids of invites, in order
	saved [][]any           // the snapshot to which Redis can be set back
}

func newTranscript(t *testing.T) *transcript {
	cfg := clerksim.Config{Latency: clerksim.TypicalLatency}
	return &transcript{t: t, cfg: cfg, event: "0", names: map[string]string{}, said: map[string]string{}}
}

func (s *transcript) play(text string) string {
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		command, isCommand := strings.CutPrefix(line, "> ")
		if !isCommand {
			if line == "" || strings.HasPrefix(line, "#") {
				out.WriteString(line + "\n")
			}
			continue
		}
		out.WriteString(line + "\n")
		if strings.HasPrefix(command, "clerk ") { // before the world begins
			s.configure(strings.Fields(command)[1:])
			continue
		}
		if s.w == nil {
			s.begin()
		}
		answer := s.do(strings.Fields(command))
		synctest.Wait()
		s.tell(&out, answer)
	}
	if s.w != nil {
		s.w.close()
	}
	return out.String()
}

func (s *transcript) configure(args []string) {
	switches, err := clerksim.ParseSwitches(strings.Join(args, ","))
	if err != nil {
		s.t.Fatal(err)
	}
	s.cfg.Switches = switches
}

func (s *transcript) begin() {
	s.w = newWorld(s.t, 1, s.cfg)
	s.w.tempo.deaf, s.w.tempo.tasks, s.w.tempo.due = false, 2*time.Second, 5*time.Second
	s.w.tempo.sweep, s.w.tempo.beat = time.Minute, 5*time.Second
}

// tell writes what has changed since the last command, with the time of the
// command at the left.
func (s *transcript) tell(out *strings.Builder, answer string) {
	at := time.Since(s.w.began).Round(time.Second).String()
	line := func(who, format string, args ...any) {
		fmt.Fprintf(out, "%10s  %-7s %s\n", at, who, fmt.Sprintf(format, args...))
		at = ""
	}
	if answer != "" {
		line("", "%s", answer)
	}
	ctx := s.t.Context()
	messages, err := s.w.redis.XRange(ctx, "inviteq:{default}:events", "("+s.event, "+").Result()
	if err != nil && s.event != "0" {
		s.t.Fatal(err)
	} else if s.event == "0" {
		messages, _ = s.w.redis.XRange(ctx, "inviteq:{default}:events", "-", "+").Result()
	}
	for _, m := range messages {
		s.event = m.ID
		reason := ""
		if r := fmt.Sprint(m.Values["reason"]); r != "" {
			reason = " (" + r + ")"
		}
		line("ledger", "%v: %v → %v%s", m.Values["id"], m.Values["from"], m.Values["to"], reason)
	}
	all := s.w.sim.Invitations()
	slices.SortStableFunc(all, func(a, b clerksim.Invitation) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, inv := range all {
		if _, known := s.names[inv.ID]; !known {
			s.names[inv.ID] = fmt.Sprintf("#%d", len(s.names)+1)
		}
		who := "ours"
		if inv.Foreign {
			who = "somebody else's"
		}
		now := string(inv.Status)
		if s.said[inv.ID] == now {
			continue
		}
		before := s.said[inv.ID]
		s.said[inv.ID] = now
		if before == "" {
			line("Clerk", "%s for %s, %s: %s", s.names[inv.ID], inv.EmailAddress, who, now)
		} else {
			line("Clerk", "%s: %s → %s", s.names[inv.ID], before, now)
		}
	}
	for id := range s.said {
		if !slices.ContainsFunc(all, func(inv clerksim.Invitation) bool { return inv.ID == id }) {
			line("Clerk", "%s is gone", s.names[id])
			delete(s.said, id)
		}
	}
}

// do carries out one command, and returns what it says at once.
func (s *transcript) do(args []string) string {
	w, t := s.w, s.t
	verb, rest := args[0], args[1:]
	must := func(err error) {
		if err != nil {
			t.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
	}
	switch verb {
	case "worker":
		for _, option := range rest {
			s.option(option)
		}
		s.running = append(s.running, w.mustStart())
	case "kill":
		w.kill(s.last())
	case "stop":
		w.stop(s.last())
	case "after":
		d, err := time.ParseDuration(rest[0])
		must(err)
		time.Sleep(d)
	case "invite":
		i := s.invite(rest)
		_, err := w.producer.Invite(t.Context(), i)
		must(err)
		w.nudge(0)
	case "revoke":
		if importID, ok := strings.CutPrefix(rest[0], "import="); ok {
			_, err := w.calm.RequestMany(t.Context(), ledger.Now, importID, []tasks.State{tasks.Queued, tasks.Sending, tasks.Unknown, tasks.Pending}, false)
			must(err)
			return ""
		}
		found, err := w.producer.Revoke(t.Context(), s.named(rest[0]))
		must(err)
		var said []string
		for _, r := range found {
			said = append(said, strings.TrimSpace(r.ID+" "+string(r.Verdict)))
		}
		return strings.Join(said, ", ")
	case "task": // A producer that knows asynq only writes a revoke.
		_, err := asynq.NewClientFromRedisClient(w.redis).Enqueue(asynq.NewTask(tasks.TypeRevoke, tasks.Revoke{Target: rest[1]}.Encode()),
			asynq.Queue(tasks.QueuesOf("").Control), asynq.TaskID(rest[0]))
		must(err)
	case "retry":
		done, err := w.calm.Requeue(t.Context(), ledger.Now, tasks.ReasonQueuedByHand, []tasks.State{tasks.Failed, tasks.Parked, tasks.Rejected, tasks.Revoked}, rest[0])
		must(err)
		w.nudge(0)
		return fmt.Sprintf("queued again: %t", done[0])
	case "pause", "resume":
		lane, err := tasks.ParseLane(rest[0])
		must(err)
		if verb == "pause" {
			must(w.calm.Pause(t.Context(), ledger.Now, lane))
		} else {
			must(w.calm.Resume(t.Context(), lane))
			w.nudge(0)
		}
	case "dashboard":
		s.dashboard(rest)
	case "fault":
		s.fault(rest)
	case "outage":
		d, err := time.ParseDuration(rest[0])
		must(err)
		w.sim.Outage(d, clerksim.Fault{})
	case "redis":
		return s.redis(rest)
	case "status":
		return s.status(rest[0])
	case "mails":
		return fmt.Sprintf("%d", w.sim.Mails(rest[0]))
	default:
		t.Fatalf("there is no command %s", verb)
	}
	return ""
}

func (s *transcript) last() *simWorker {
	one := s.running[len(s.running)-1]
	s.running = s.running[:len(s.running)-1]
	return one
}

// option changes the configuration of the workers that start from now on.
func (s *transcript) option(option string) {
	name, value, _ := strings.Cut(option, "=")
	change := map[string]func(*Config){
		"mark":         func(c *Config) { c.Mark = value },
		"no-reconcile": func(c *Config) { c.ReconcileEvery = -1 },
		"unlimited":    func(c *Config) { c.Ledger.Limits.Single, c.Ledger.Limits.Bulk = ledger.Limit{}, ledger.Limit{} },
		"no-screening": func(c *Config) { c.NoScreening = true },
	}[name]
	if change == nil {
		s.t.Fatalf("there is no option %s", name)
	}
	s.w.change = append(s.w.change, change)
}

// invite reads ADDRESS key=value...
func (s *transcript) invite(args []string) tasks.Invite {
	email, err := tasks.ParseEmail(args[0])
	if err != nil {
		s.t.Fatal(err)
	}
	i := tasks.Invite{EmailAddress: email}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "id":
			i.ID = value
		case "import":
			i.ImportID, i.Lane = value, tasks.Import
		case "ignore_existing":
			i.IgnoreExisting = true
		case "metadata":
			i.PublicMetadata = []byte(value)
		case "days":
			i.ExpiresInDays, err = strconv.Atoi(value)
		case "within":
			var d time.Duration
			d, err = time.ParseDuration(value)
			i.Deadline = time.Now().Add(d)
		default:
			err = fmt.Errorf("there is no %s", key)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	s.asked = append(s.asked, i.ID)
	return i
}

// named returns the id of an invitation by the name that it has here, or what else it is.
func (s *transcript) named(name string) string {
	for id, n := range s.names {
		if n == name {
			return id
		}
	}
	return name
}

// dashboard is what people do in Clerk's dashboard, or another program with the key.
func (s *transcript) dashboard(args []string) {
	sim, address := s.w.sim, s.named(args[1])
	var err error
	switch args[0] {
	case "invites":
		if len(args) > 2 {
			_, err = sim.CreateForeignFrom(fmt.Sprintf(`{"email_address":%q,"public_metadata":%s}`, address, args[2]))
		} else {
			_, err = sim.CreateForeign(address)
		}
	case "accepts":
		err = sim.Accept(address)
	case "revokes":
		err = sim.RevokeInDashboard(address)
	case "deletes":
		for _, inv := range sim.ByAddress(address) {
			err = sim.Delete(inv.ID)
		}
	case "deletes-user":
		err = sim.DeleteUser(address)
	default:
		err = fmt.Errorf("nobody %s", args[0])
	}
	if err != nil {
		s.t.Fatalf("dashboard %v: %v", args, err)
	}
}

// fault reads OP KIND key=value..., times=N.
func (s *transcript) fault(args []string) {
	op := map[string]clerksim.Op{
		"create": clerksim.OpCreate, "bulk": clerksim.OpBulkCreate, "list": clerksim.OpList, "revoke": clerksim.OpRevoke,
	}[args[0]]
	f, times := clerksim.Fault{Kind: clerksim.FaultKind(args[1])}, 1
	if args[1] == "late" {
		f.Kind = ""
	}
	for _, arg := range args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		var err error
		switch key {
		case "by":
			f.Delay, err = time.ParseDuration(value)
		case "lag":
			f.Lag, err = time.ParseDuration(value)
		case "status":
			f.Status, err = strconv.Atoi(value)
		case "code":
			f.Code = value
		case "times":
			times, err = strconv.Atoi(value)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	s.w.sim.Inject(op, f, times)
}

// redis is what happens to Redis.
func (s *transcript) redis(args []string) string {
	w := s.w
	switch args[0] {
	case "snapshot":
		s.saved = w.snapshot()
	case "goes-back":
		w.setBack(s.saved)
		s.event = "0"
		s.skipEvents()
	case "is-emptied":
		w.setBack(nil)
		s.event = "0"
	case "restarts":
		w.newServer()
	case "requests":
		n, err := w.redis.HLen(s.t.Context(), "inviteq:{default}:revreq").Result()
		if err != nil {
			s.t.Fatal(err)
		}
		return fmt.Sprintf("%d revoke requests stand", n)
	case "fill": // so many invites for an address, each canceled at once
		n, err := strconv.Atoi(args[2])
		if err != nil {
			s.t.Fatal(err)
		}
		for k := range n {
			i := s.invite([]string{args[1], fmt.Sprintf("id=fill-%d", k)})
			if _, _, err := w.calm.Admit(s.t.Context(), ledger.Now, []tasks.Invite{i}); err != nil {
				s.t.Fatal(err)
			}
			if _, err := w.calm.Cancel(s.t.Context(), ledger.Now, i.ID); err != nil {
				s.t.Fatal(err)
			}
		}
		s.skipEvents()
	default:
		s.t.Fatalf("redis does not %s", args[0])
	}
	return ""
}

// skipEvents goes to the end of the stream, whose events have been told before.
func (s *transcript) skipEvents() {
	if last, err := s.w.redis.XRevRangeN(s.t.Context(), "inviteq:{default}:events", "+", "-", 1).Result(); err == nil && len(last) > 0 {
		s.event = last[0].ID
	}
}

// status is what a producer is told.
func (s *transcript) status(target string) string {
	found, err := s.w.producer.Status(s.t.Context(), target)
	if err != nil {
		return err.Error()
	}
	var said []string
	for _, f := range found {
		text := f.ID + " " + f.State.String()
		if f.Reason != "" {
			text += " (" + string(f.Reason) + ")"
		}
		if name := s.names[f.InvitationID]; name != "" {
			text += " " + name
		}
		said = append(said, text)
	}
	return strings.Join(said, ", ")
}
