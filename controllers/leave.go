package controllers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/wildout/wildout/api/v1alpha1"
)

// LeaveOptions say what becomes of the custom resources when the operator is
// uninstalled.
type LeaveOptions struct {
	// Namespaces are those that the operator looked after; empty: all.
	Namespaces []string
	// Delete deletes all functions and event types while the operator is still
	// there to clean up after them. False: they stay, and can be deleted by
	// anybody, without an operator.
	Delete bool
	// Patience is how long the operator gets to clean up before what is left is
	// let go all the same. Default: 2m.
	Patience time.Duration
	// Quiet is for how long nobody may have claimed a resource again: an
	// operator that is ending might. Default: 5s.
	Quiet time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what was done. Default: slog.Default().
	Logger *slog.Logger
}

// Leave makes the custom resources independent of the operator, so that none
// hangs in its deletion once that is gone. The client must read from the API
// server and not from a cache.
func Leave(ctx context.Context, c client.Client, o LeaveOptions) error {
	if o.Patience <= 0 {
		o.Patience = 2 * time.Minute
	}
	if o.Quiet <= 0 {
		o.Quiet = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	l := leaving{client: c, o: o}
	if o.Delete {
		if err := l.deleteAll(ctx); err != nil {
			return err
		}
	}
	return l.letGoAll(ctx)
}

type leaving struct {
	client client.Client
	o      LeaveOptions
}

// owned are the custom resources that there are.
func (l *leaving) owned(ctx context.Context) (all []client.Object, err error) {
	namespaces := l.o.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		var functions v1alpha1.WildoutFunctionList
		var eventTypes v1alpha1.WildoutEventTypeList
		for _, list := range []client.ObjectList{&functions, &eventTypes} {
			if err := l.client.List(ctx, list, client.InNamespace(namespace)); err != nil && !meta.IsNoMatchError(err) {
				return nil, fmt.Errorf("list what the operator looked after: %w", err)
			}
		}
		for i := range functions.Items {
			all = append(all, &functions.Items[i])
		}
		for i := range eventTypes.Items {
			all = append(all, &eventTypes.Items[i])
		}
	}
	return all, nil
}

// deleteAll deletes everything and gives the operator time to clean up.
func (l *leaving) deleteAll(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, l.o.Patience)
	defer cancel()
	for {
		all, err := l.owned(bounded)
		if err == nil && len(all) == 0 {
			return nil
		}
		for _, o := range all {
			if o.GetDeletionTimestamp().IsZero() {
				err = errors.Join(err, client.IgnoreNotFound(l.client.Delete(bounded, o, client.PropagationPolicy("Background"))))
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		case <-bounded.Done():
			l.o.Logger.Warn("the operator did not clean up in time: what these have in Redis stays there", "resources", len(all), "patience", l.o.Patience, "error", err)
			return nil
		}
	}
}

// letGoAll takes the operator's finalizer off everything, until nobody has put
// it back for a while.
func (l *leaving) letGoAll(ctx context.Context) error {
	quiet := l.o.Now()
	for l.o.Now().Sub(quiet) < l.o.Quiet {
		all, err := l.owned(ctx)
		if err != nil {
			return err
		}
		for _, o := range all {
			before := o.DeepCopyObject().(client.Object)
			if !controllerutil.RemoveFinalizer(o, v1alpha1.Finalizer) {
				continue
			}
			quiet = l.o.Now()
			patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
			err := l.client.Patch(ctx, o, patch)
			if client.IgnoreNotFound(err) != nil {
				l.o.Logger.Info("not let go yet; trying again", "resource", client.ObjectKeyFromObject(o), "error", err)
				continue
			}
			l.o.Logger.Info("let go", "resource", client.ObjectKeyFromObject(o))
		}
		if len(all) == 0 {
			return nil
		}
		select {
		case <-time.After(min(time.Second, l.o.Quiet/4)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
