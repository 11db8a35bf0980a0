package node

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

const (
	maxUserName = 256
	maxPassword = 1024

	// A client that is refused while it still sends is heard out, so that it learns
	// why: so many at a time, and so much of each.
	maxHeardOut  = 64
	heardOutSize = maxMessageSize

	// warnOfRefusals is how often the log speaks of wrong passwords.
	warnOfRefusals = 10 * time.Second
)

// Clients ask these before they use their credentials.
var openMethods = map[string]bool{
	serverfeatures.ServerFeatures_GetSupportedMethods_FullMethodName: true,
	gossip.Gossip_Read_FullMethodName:                                true,
}

// users are those who may use a secure node; nil is an insecure one, which ignores
// credentials. Every user may do everything.
type users struct {
	passwords map[string][sha256.Size]byte // digests, so that comparing takes one time for all lengths
	logger    *slog.Logger
	heardOut  chan struct{}

	mu      sync.Mutex
	refused uint64
	warned  time.Time
}

// newUsers refuses a secure node without users, and an insecure one with users: it
// would look protected.
func newUsers(opts *Options) (*users, error) {
	secure := opts.CertFile != ""
	switch {
	case !secure && len(opts.Users) == 0:
		return nil, nil
	case !secure:
		return nil, errors.New("users without TLS would send their passwords in the clear: set Options.CertFile and Options.KeyFile, or have no users")
	case len(opts.Users) == 0:
		return nil, errors.New("a node with TLS asks for credentials: set Options.Users")
	}
	u := &users{passwords: map[string][sha256.Size]byte{}, logger: opts.Logger, heardOut: make(chan struct{}, maxHeardOut)}
	for name, password := range opts.Users {
		switch {
		case name == "" || len(name) > maxUserName || strings.Contains(name, ":"):
			return nil, fmt.Errorf("user %q: a name has 1 to %d bytes and no colon", name, maxUserName)
		case password == "" || len(password) > maxPassword:
			return nil, fmt.Errorf("user %q: a password has 1 to %d bytes", name, maxPassword)
		}
		u.passwords[name] = sha256.Sum256([]byte(password))
	}
	return u, nil
}

// identity is what a caller's credentials amount to.
type identity int

const (
	anonymous identity = iota // it has none
	known
	wrong
)

// identify judges an Authorization header. Schemes other than Basic count as none,
// as on the server that clients know.
func (u *users) identify(headers []string) (identity, string) {
	if len(headers) != 1 {
		return anonymous, ""
	}
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return anonymous, ""
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return wrong, ""
	}
	name, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return wrong, ""
	}
	expected, exists := u.passwords[name]
	given := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(given[:], expected[:]) != 1 || !exists {
		return wrong, name
	}
	return known, name
}

// refuse counts and reports wrong credentials, seldom enough that guessing does not
// fill the log.
func (u *users) refuse(name, from string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.refused++
	if now := time.Now(); now.Sub(u.warned) >= warnOfRefusals {
		u.warned = now
		u.logger.Warn("wrong credentials were refused", "user", clipped(name), "from", from, "refused", u.refused)
	}
}

func clipped(name string) string { return name[:min(len(name), maxUserName)] }

// admit lets a gRPC call in, or says why not in the words of the server that
// clients know.
func (u *users) admit(ctx context.Context, method string) error {
	md, _ := metadata.FromIncomingContext(ctx)
	who, name := u.identify(md.Get("authorization"))
	switch {
	case who == wrong:
		from := ""
		if p, ok := peer.FromContext(ctx); ok {
			from = p.Addr.String()
		}
		u.refuse(name, from)
		return status.Error(codes.Unauthenticated, "the user is not known here or the password is wrong")
	case who == known, openMethods[method]:
		return nil
	default:
		return withException(ctx, codes.PermissionDenied, exceptionAccessDenied, "access denied: this node asks for a user and a password")
	}
}

// guardCalls and guardStreams ask for credentials in front of every method.
func (u *users) guardCalls() grpc.ServerOption {
	if u == nil {
		return grpc.EmptyServerOption{}
	}
	return grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := u.admit(ctx, info.FullMethod); err != nil {
			return nil, err
		}
		return next(ctx, req)
	})
}

func (u *users) guardStreams() grpc.ServerOption {
	if u == nil {
		return grpc.EmptyServerOption{}
	}
	return grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if err := u.admit(stream.Context(), info.FullMethod); err != nil {
			if info.IsClientStream {
				u.hearOut(stream, info)
			}
			return err
		}
		return next(srv, stream)
	})
}

// hearOut takes in what a refused client sends: all of it if it sends before it
// listens, else its first message.
func (u *users) hearOut(stream grpc.ServerStream, info *grpc.StreamServerInfo) {
	select {
	case u.heardOut <- struct{}{}:
		defer func() { <-u.heardOut }()
	default:
		return
	}
	for size := 0; size < heardOutSize; {
		var message shared.Empty
		if err := stream.RecvMsg(&message); err != nil || info.IsServerStream {
			return
		}
		size += 1 + len(message.ProtoReflect().GetUnknown())
	}
}
