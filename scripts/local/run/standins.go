package run

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/coditect/platform/scripts/local/keys"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/standin/secretmanager"
)

// standins serves the gRPC APIs of cloud services on one port.
type standins struct {
	server *grpc.Server
	done   chan error
}

func startStandins(port int, project string, store keys.Store) (*standins, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("cloud stand-ins: %w: %d", state.ErrPortTaken, port)
	}
	if err != nil {
		return nil, fmt.Errorf("cloud stand-ins: %w", err)
	}
	seed, err := store.Load(time.Now())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &standins{server: grpc.NewServer(), done: make(chan error, 1)}
	secretmanager.New(project, seed, secretmanager.WithSave(store.Save)).Register(s.server)
	go func() { s.done <- s.server.Serve(listener) }()
	return s, nil
}

func (s *standins) close() error {
	s.server.Stop()
	return <-s.done
}
