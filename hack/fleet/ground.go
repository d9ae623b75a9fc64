package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os/exec"
)

// ground is everything that runs, and what measures it.
type ground struct {
	o        *options
	folder   string // of logs and programs
	logger   *slog.Logger
	cluster  *cluster
	kwok     *process
	redis    *redisServer
	tally    *tally
	operator *operator
	watch    *watch
}

// prepare starts all but the operator, which is measured from its start.
// Whatever fails, what was made is removed again.
func prepare(ctx context.Context, o *options, folder string, logger *slog.Logger) (_ *ground, err error) {
	g := &ground{o: o, folder: folder, logger: logger}
	root, err := repository(ctx)
	if err != nil {
		return nil, err
	}
	if g.cluster, err = reach(fmt.Sprintf("s%08x", rand.Uint32()), logger); err != nil { //nolint:gosec // a name, no secret
		return nil, err
	}
	if err := g.cluster.vacant(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.leave(context.WithoutCancel(ctx)))
		}
	}()
	logger.Info("building KWOK and the manager; the first time takes some minutes")
	if g.kwok, err = startKWOK(ctx, folder, g.cluster.config); err != nil {
		return nil, err
	}
	if err := g.cluster.remove(ctx); err != nil { // of a session that was killed
		return nil, err
	}
	if err := g.cluster.nodes(ctx, o.nodes, g.kwok); err != nil {
		return nil, err
	}
	if err := g.cluster.install(ctx, root); err != nil {
		return nil, err
	}
	if g.redis, err = startRedis(ctx, folder, o.redisServer); err != nil {
		return nil, err
	}
	for n := range o.namespaces {
		if err := g.cluster.space(ctx, o.namespace(n), g.redis.url()); err != nil {
			return nil, err
		}
	}
	if g.tally, err = newTally(g.cluster.config); err != nil {
		return nil, err
	}
	if g.operator, err = newOperator(ctx, root, folder, g.cluster, g.tally, o.manager); err != nil {
		return nil, err
	}
	g.watch, err = follow(ctx, g.cluster)
	return g, err
}

// repository is the folder of wildout, which go.mod names.
func repository(ctx context.Context) (string, error) {
	text, err := exec.CommandContext(ctx, "go", "list", "-m", "-json", "github.com/wildout/wildout").Output()
	var module struct{ Dir string }
	if err = errors.Join(err, json.Unmarshal(text, &module)); err != nil {
		return "", fmt.Errorf("find the repository (start this from hack/fleet): %w", err)
	}
	return module.Dir, nil
}

// leave ends and removes everything.
func (g *ground) leave(ctx context.Context) error {
	var errs []error
	if g.operator != nil && g.operator.process != nil {
		errs = append(errs, g.operator.stop())
	}
	g.logger.Info("removing what was made in the cluster")
	if g.kwok != nil {
		errs = append(errs, g.cluster.remove(ctx), g.kwok.stop())
	}
	if g.tally != nil {
		g.tally.close()
	}
	if g.redis != nil {
		errs = append(errs, g.redis.stop())
	}
	return errors.Join(errs...)
}
