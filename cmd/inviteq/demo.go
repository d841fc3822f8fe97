package main

import "context"

type demoCommand struct{}

func (c *demoCommand) Run(_ context.Context, p *program) error { return nil }
