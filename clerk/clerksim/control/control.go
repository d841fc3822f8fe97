// Package control lets people and scripts move a simulated Clerk from outside: a
// page for a browser, and a small HTTP API for everything else.
//
//	GET  /                     the page
//	GET  /control/             what there is to read and to do, as JSON
//	GET  /control/WHAT         reads: state, invitations, mails, calls, people
//	POST /control/ACTION       acts: add-user, accept, expire, suppress, clock, fault, …
//	GET  /healthz              200
//	     /v1/…                 the simulated Clerk itself
//
// An action takes its parameters as a form or as a JSON object:
//
//	curl -d email_address=ada@example.com http://127.0.0.1:9090/control/suppress
//	curl -d invitation=ada@example.com    http://127.0.0.1:9090/control/accept
//	curl -d offset=744h                   http://127.0.0.1:9090/control/clock
//	curl -d fault=create/drop-after:x1    http://127.0.0.1:9090/control/fault
//
// Every program that reaches it may do everything, without a key, and sees
// addresses: it is for your own machine, and for made-up people. Pages of other
// sites cannot make a browser act.
package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// Handler serves the page, the API and the simulated Clerk itself.
func Handler(sim *clerksim.Sim) http.Handler {
	h := &handler{sim}
	mux := http.NewServeMux()
	mux.Handle("/", sim) // it answers what it does not know as Clerk does
	mux.HandleFunc("GET /{$}", h.page)
	mux.HandleFunc("GET /control/style.css", style)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /control/{$}", h.index)
	mux.HandleFunc("GET /control/{what}", h.read)
	mux.HandleFunc("POST /control/{action}", h.act)
	guard := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") { // as it is: a mux would tidy paths
			sim.ServeHTTP(w, r)
			return
		}
		guard.ServeHTTP(w, r)
	})
}

type handler struct{ sim *clerksim.Sim }

// index says what there is, for those who have no documentation at hand.
func (h *handler) index(w http.ResponseWriter, _ *http.Request) {
	type entry struct {
		Path   string            `json:"path"`
		Does   string            `json:"does"`
		Params map[string]string `json:"params,omitempty"`
	}
	var out struct {
		Read []entry `json:"GET"`
		Act  []entry `json:"POST"`
	}
	for _, v := range views {
		out.Read = append(out.Read, entry{"/control/" + v.name, v.does, v.params})
	}
	for _, a := range actions {
		e := entry{Path: "/control/" + a.Name, Does: a.Does, Params: map[string]string{}}
		for _, p := range a.Params {
			e.Params[p.Name] = p.Help
		}
		out.Act = append(out.Act, e)
	}
	reply(w, http.StatusOK, out)
}

// status is what an error of the simulator is answered with.
func status(err error) int {
	switch {
	case errors.Is(err, clerksim.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, clerksim.ErrNotPending):
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // values are ours and marshal; a client that has gone needs no answer
}

func fail(w http.ResponseWriter, status int, err error) {
	reply(w, status, map[string]string{"error": err.Error()})
}
