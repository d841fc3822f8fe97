package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

type healthCommand struct {
	AdminAddr string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the worker's admin listener is."`
	TLS       string `name:"admin-tls-cert-file" placeholder:"FILE" help:"The admin listener's certificate, if it speaks TLS."`

	Verbose bool `short:"v" help:"Say also what Redis does not fulfil, and name the workers with what each is configured with."`

	API     bool   `name:"api" help:"Ask inviteq api instead whether it reaches Redis."`
	APIAddr string `name:"api-addr" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Where the API is."`
	APITLS  string `name:"api-tls-cert-file" placeholder:"FILE" help:"The API's certificate, if it speaks TLS."`
	jsonFlag
}

func (healthCommand) Help() string {
	return `Asks the worker's /readyz; give it the variables that the worker was started with. The exit code is 0 if the worker can deliver. Otherwise it is 1, and the command prints what to do. It is made for containers without curl. Workers that are configured with different limits deliver all the same, so it only says so.

Examples:

  inviteq health
  inviteq health --api`
}

// healthTime is how long an answer may take.
const healthTime = 4 * time.Second

// Run asks, and says what is wrong.
func (c *healthCommand) Run(ctx context.Context, p *program) error {
	addr, cert, flag, path, start := c.AdminAddr, c.TLS, "admin", "/readyz", "worker"
	if c.API {
		addr, cert, flag, path, start = c.APIAddr, c.APITLS, "api", "/healthz", "api"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("--%s-addr must be HOST:PORT; there is nothing to ask at %q", flag, addr)
	}
	url := "http://"
	if cert != "" {
		url = "https://"
	}
	url += net.JoinHostPort(nearest(host), port) + path

	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usagef("--%s-addr: %v", flag, innermost(err))
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// The certificate is made for another name than this machine has for itself,
		// and nothing is sent that has to be kept.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
	}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no answer from %s (%w): start `inviteq %s` on this machine, or say by --%s-addr where it listens", url, innermost(err), start, flag)
	}
	defer response.Body.Close()
	var ready struct {
		Problems, Warnings map[string]string
		Notice             string
		Workers            []string
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && c.JSON {
		return c.printJSON(p, response.StatusCode, body)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: the answer broke off: %w", url, innermost(err))
	case response.StatusCode == http.StatusOK:
		_ = json.Unmarshal(body, &ready) // The API answers in plain text.
		_, err := fmt.Fprintln(p.console.out, "ready")
		if ready.Notice != "" {
			p.console.note("workers have different limits: %s", ready.Notice)
		}
		if !c.Verbose {
			return err
		}
		for _, what := range slices.Sorted(maps.Keys(ready.Warnings)) {
			_, err = fmt.Fprintf(p.console.out, "warning: %s: %s\n", what, ready.Warnings[what])
		}
		for _, worker := range ready.Workers {
			_, err = fmt.Fprintln(p.console.out, "worker "+worker)
		}
		return err
	case json.Unmarshal(body, &ready) != nil || len(ready.Problems) == 0:
		return fmt.Errorf("not ready: %s answers %s", url, response.Status)
	}
	var all []error
	for _, what := range slices.Sorted(maps.Keys(ready.Problems)) {
		all = append(all, fmt.Errorf("not ready: %s: %s", what, ready.Problems[what]))
	}
	return errors.Join(all...)
}

// printJSON prints the answer as it is.
func (c *healthCommand) printJSON(p *program, status int, body []byte) error {
	answer := map[string]any{}
	_ = json.Unmarshal(body, &answer) // the API's says no more than its status
	answer["ready"] = status == http.StatusOK
	if err := p.printJSON(answer); err != nil || status == http.StatusOK {
		return err
	}
	return errTold
}

// nearest is the loopback address of a listener on every address.
func nearest(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip.IsUnspecified() && ip.Is4():
		return "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		return "::1"
	}
	return host
}
