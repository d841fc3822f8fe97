package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

const rivalEnv = "INVITEQ_SOAK_RIVAL"

func rivalQueue(name string) string {
	return strings.NewReplacer(" ", "_", ",", "").Replace(name)
}

// TestSoakRival is no test: TestSoak starts this binary again to run it as a
// process that can be killed. It is the worker that asynq's manual leads to: a
// task a person, groups of ten by a timer, one bulk call a group, an error and
// asynq's default retry if the answer is no 200. The retry's delay is divided by
// ten, more or less as the limits are; asynq's leases are what they are.
func TestSoakRival(t *testing.T) {
	name := os.Getenv(rivalEnv)
	if name == "" {
		t.Skip("TestSoak runs it")
	}
	server := asynq.NewServer(asynq.RedisClientOpt{Network: "unix", Addr: os.Getenv("REDIS_SOCKET")}, asynq.Config{
		Concurrency:      4,
		Queues:           map[string]int{rivalQueue(name): 1},
		GroupGracePeriod: time.Second,
		GroupMaxSize:     clerksim.BulkMax,
		GroupAggregator:  asynq.GroupAggregatorFunc(aggregate),
		RetryDelayFunc: func(n int, err error, task *asynq.Task) time.Duration {
			return asynq.DefaultRetryDelayFunc(n, err, task) / 10
		},
		LogLevel: asynq.ErrorLevel,
	})
	client := &http.Client{Timeout: time.Second}
	mux := asynq.NewServeMux()
	mux.HandleFunc("invite_group", func(ctx context.Context, task *asynq.Task) error {
		return invite(ctx, client, strings.Fields(string(task.Payload())), strings.Contains(name, "ignore_existing"))
	})
	if err := server.Run(mux); err != nil {
		t.Fatal(err)
	}
}

func aggregate(_ string, members []*asynq.Task) *asynq.Task {
	var people []string
	for _, m := range members {
		people = append(people, string(m.Payload()))
	}
	return asynq.NewTask("invite_group", []byte(strings.Join(people, "\n")))
}

func invite(ctx context.Context, client *http.Client, people []string, ignoreExisting bool) error {
	items := make([]map[string]any, len(people))
	for i, p := range people {
		items[i] = map[string]any{"email_address": p, "ignore_existing": ignoreExisting}
	}
	body, err := json.Marshal(items)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("CLERK_API_URL")+"/invitations/bulk", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+clerksim.DefaultSecretKey)
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return errors.New("no answer")
	}
	defer answer.Body.Close()
	var made []json.RawMessage
	if err := json.NewDecoder(answer.Body).Decode(&made); answer.StatusCode != http.StatusOK || err != nil {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}
