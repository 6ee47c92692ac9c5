package drive

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Notify derives a context that ends with *Interrupted as its cause on the first SIGTERM, SIGINT, SIGQUIT or SIGHUP;
// later ones are swallowed until stop is called, so that a second Ctrl-C does not cut the cancellation short. A SIGHUP
// that was ignored when the process started (nohup, which Jenkins' sh uses) stays ignored.
func Notify(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	sigs := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		sigs = append(sigs, syscall.SIGHUP)
	}
	ch := make(chan os.Signal, 8)
	signal.Notify(ch, sigs...)
	quit := make(chan struct{})
	go func() {
		select {
		case s := <-ch:
			if n, ok := s.(syscall.Signal); ok {
				cancel(&Interrupted{Signal: n})
			}
		case <-quit:
		}
	}()
	return ctx, sync.OnceFunc(func() {
		signal.Stop(ch)
		close(quit)
		cancel(context.Canceled)
	})
}
