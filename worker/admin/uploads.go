package admin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

// upload is a list on its way, in the memory of this process: whoever comes to another
// worker chooses the file again.
type upload struct {
	id, by, name string
	working      sync.Mutex // The list has one reader at a time.
	list         List
	columns      []string // the names of its columns

	mu       sync.Mutex // over what follows
	used     time.Time
	step     string // columns, ready, looking, starting, started
	fault    string // why the last step has failed
	fields   map[string]string
	hold     time.Duration
	found    ListSurvey
	forecast *tasks.Forecast
	accepted ListAccepted
	done     int
	stop     context.CancelFunc // ends what is being done with it
}

// uploads are those that are under way.
type uploads struct {
	mu  sync.Mutex
	all map[string]*upload
}

const (
	maxUploads   = 4
	maxUpload    = 64 << 20 // bytes, as in the HTTP API
	uploadLives  = 30 * time.Minute
	uploadReads  = 10 * time.Minute // for its body
	surveyedSync = time.Minute      // for reading it once, while the person waits
)

// add keeps a new one, or says that there are too many. Those that were left are closed.
func (u *uploads) add(one *upload) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[string]*upload{}
	}
	for id, other := range u.all {
		other.mu.Lock()
		left := time.Since(other.used) > uploadLives && other.step != "looking" && other.step != "starting"
		other.mu.Unlock()
		if left {
			other.list.Close()
			delete(u.all, id)
		}
	}
	if len(u.all) >= maxUploads {
		return false
	}
	u.all[one.id] = one
	return true
}

// find returns one of a caller's.
func (u *uploads) find(id, by string) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	if one := u.all[id]; one != nil && one.by == by {
		return one
	}
	return nil
}

// of returns the one that a request is about, if it is the caller's.
func (u *uploads) of(r *http.Request) (*upload, error) {
	if one := u.find(r.PathValue("id"), caller(r).Name); one != nil {
		return one, nil
	}
	return nil, refuse(http.StatusNotFound, "This worker does not have the list any more: choose the file again. Nothing is lost; what was started goes on.")
}

func (u *uploads) drop(one *upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all[one.id] == one {
		delete(u.all, one.id)
		one.end()
	}
}

// end stops what is being done with the list, and then removes it.
func (u *upload) end() {
	u.mu.Lock()
	stop := u.stop
	u.mu.Unlock()
	if stop != nil {
		stop()
	}
	u.working.Lock()
	defer u.working.Unlock()
	u.list.Close()
}

// upload is POST /uploads: the list is copied as it comes, and then read once.
func (h *Handler) upload(w http.ResponseWriter, r *http.Request) {
	m := h.mayOf(r)
	if !m.Upload {
		h.say(w, r, http.StatusForbidden, "Not permitted", "This takes the role operator, and a worker that takes lists.")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadReads)) // A recorder in a test has none.
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	one, err := h.receive(r)
	if err != nil {
		h.say(w, r, http.StatusUnprocessableEntity, "Not taken", "The list cannot be used: "+err.Error()+".")
		return
	}
	one.read(r.Context())
	if !h.uploads.add(one) {
		one.list.Close()
		h.say(w, r, http.StatusServiceUnavailable, "Not taken", "Too many lists are being looked at. Start or drop one of them, or come back in half an hour.")
		return
	}
	http.Redirect(w, r, "/uploads/"+one.id, http.StatusSeeOther)
}

// receive copies the file of a form. It never goes through a file with a name.
func (h *Handler) receive(r *http.Request) (*upload, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("the form is not one with a file")
	}
	var part *multipart.Part
	for part == nil || part.FormName() != "list" {
		if part, err = form.NextPart(); err != nil {
			return nil, fmt.Errorf("no file was chosen")
		}
	}
	if part.FileName() == "" {
		return nil, fmt.Errorf("no file was chosen")
	}
	list, err := h.cfg.Acts.OpenList(r.Context(), part, part.FileName())
	if err != nil {
		return nil, err
	}
	one := &upload{id: tasks.NewID("up"), by: caller(r).Name, name: string(tasks.Mask([]byte(part.FileName()))), list: list, fields: map[string]string{}}
	if _, err = io.Copy(io.Discard, part); err == nil {
		one.columns, err = list.Columns(r.Context())
	}
	if err != nil {
		list.Close()
		return nil, err
	}
	return one, nil
}

// read surveys the list with what was said of its columns.
func (u *upload) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, surveyedSync)
	defer cancel()
	u.working.Lock()
	defer u.working.Unlock()
	var rules []string
	u.mu.Lock()
	hold := u.hold
	for _, name := range slices.Sorted(maps.Keys(u.fields)) {
		rules = append(rules, u.fields[name]+"="+name)
	}
	u.mu.Unlock()
	found, err := u.list.Survey(ctx, rules, hold)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.used, u.found, u.forecast, u.step, u.fault = time.Now(), found, nil, "ready", ""
	if err != nil {
		u.step, u.fault = "columns", err.Error()
	}
}

// begin does something with the list that takes its time, while the page shows how far it is.
func (u *upload) begin(step string, do func(ctx context.Context) (then string, err error)) {
	ctx, cancel := context.WithTimeout(context.Background(), uploadLives)
	u.mu.Lock()
	u.step, u.fault, u.done, u.stop = step, "", 0, cancel
	u.mu.Unlock()
	go func() {
		defer cancel()
		u.working.Lock()
		defer u.working.Unlock()
		then, err := do(ctx)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.used, u.step = time.Now(), then
		if err != nil {
			u.step, u.fault = "ready", err.Error()
		}
	}()
}

func (u *upload) progress(done int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = done
}

// actOnUpload is POST /uploads/{id}/{verb}.
func (h *Handler) actOnUpload(r *http.Request) (string, string, error) {
	u, err := h.uploads.of(r)
	if err != nil {
		return "", "", err
	}
	to := "/uploads/" + u.id
	u.mu.Lock()
	step, found := u.step, u.found
	u.mu.Unlock()
	verb := r.PathValue("verb")
	if busy := step == "looking" && verb != "drop" || step == "starting"; busy || step == "started" && verb != "drop" || step == "columns" && (verb == "look" || verb == "start") {
		return "", "", refuse(http.StatusConflict, "The list is not there yet, or beyond that: look at its page.")
	}
	switch verb {
	case "columns":
		fields := map[string]string{}
		for n, name := range u.columns {
			if field := strings.TrimSpace(r.PostForm.Get(fmt.Sprintf("column%d", n))); field != "" {
				fields[name] = field
			}
		}
		u.mu.Lock()
		u.fields = fields
		u.mu.Unlock()
		u.read(r.Context())
		return to, "", nil
	case "look":
		u.begin("looking", func(ctx context.Context) (string, error) {
			f, err := u.list.Forecast(ctx, u.progress)
			if err == nil {
				u.mu.Lock()
				u.forecast = &f
				u.mu.Unlock()
			}
			return "ready", err
		})
		return to, "", nil
	case "start":
		return to, "", h.startUpload(r, u, found)
	case "drop":
		h.uploads.drop(u)
		return "/imports", "The copy of the list is gone.", nil
	}
	return "", "", refuse(http.StatusNotFound, "There is no such thing to do.")
}

// holds are how long a list may be held back, so that it can be taken back before any mail.
var holds = []time.Duration{0, 10 * time.Minute, time.Hour, 24 * time.Hour}

func (h *Handler) startUpload(r *http.Request, u *upload, found ListSurvey) error {
	hold, err := time.ParseDuration(r.PostForm.Get("hold"))
	switch {
	case err != nil || !slices.Contains(holds, hold):
		return refuse(http.StatusBadRequest, "Say how long the list is to be held.")
	case found.Good == 0:
		return refuse(http.StatusConflict, "The list has no good row, so there is nobody to invite.")
	case found.Bad > 0 && r.PostForm.Get("skip") == "":
		return refuse(http.StatusConflict, "%s of the list %s bad. Fix the file, or say that they are to be left out.", show.Count(found.Bad, "row"), isOrAre(int64(found.Bad)))
	}
	if err := confirmed(r, int64(found.Good)); err != nil {
		return err
	}
	if err := h.note(r, "start import", found.ImportID, found.Good); err != nil {
		return err
	}
	if u.holds(hold) { // A deadline that comes before its end makes a row bad.
		if u.read(r.Context()); u.differs(found) {
			return refuse(http.StatusConflict, "Held so long, other rows of the list are good: look at its page again.")
		}
	}
	owner := caller(r)
	u.begin("starting", func(ctx context.Context) (string, error) {
		accepted, err := u.list.Accept(ctx, owner.Name, u.progress)
		u.mu.Lock()
		u.accepted = accepted
		u.mu.Unlock()
		h.forgetSnapshot()
		return "started", err
	})
	return nil
}

// holds sets for how long the list is held, and reports whether that is new.
func (u *upload) holds(hold time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	changed := u.hold != hold
	u.hold = hold
	return changed
}

// differs reports whether the list has turned out to be another than it was.
func (u *upload) differs(from ListSurvey) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.fault != "" || u.found.Good != from.Good || u.found.Bad != from.Bad
}
