package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc"
)

const (
	// closeGrace is how long Close waits for calls to end by themselves.
	closeGrace = 3 * time.Second
	// reservedSpace is left free on the disk: for the tables' flush of what the
	// journal has taken, and a segment.
	reservedSpace = 64 << 20
	// pingEvery is how long a client may be silent before it is asked whether it is
	// there, and how long it then has to answer.
	pingEvery = 10 * time.Second
)

// Options say where a node lives and how it is reached.
type Options struct {
	// Dir is the data folder. It is created if it is missing, and belongs to one
	// node at a time.
	Dir string
	// Listen is the TCP address to serve, by default a free port of 127.0.0.1.
	// Unless the node has a certificate, whoever reaches it may read and append, and
	// credentials are ignored.
	Listen string
	// Advertise is the HOST:PORT that clients are told to connect to: in
	// ConnectionString, and when they look for the leader. By default they are told
	// the address that they came by, and ConnectionString names Listen, with
	// 127.0.0.1 for all addresses of the machine.
	Advertise string
	// CertFile and KeyFile are PEM files: the node's certificate, with what leads to
	// its root, and the key. A node that has them speaks nothing but TLS and asks for
	// the credentials of one of the Users. Files that are replaced are read again.
	CertFile, KeyFile string
	// Users are passwords by name. A secure node has at least one user, any other
	// none. Every user may do everything.
	Users map[string]string
	// Logger takes what an operator should know; by default nothing is logged.
	Logger *slog.Logger
	// Tick is how often persistent subscriptions look for messages that have timed
	// out and for checkpoints that are due, and the node for space on its disk; by
	// default every second.
	Tick time.Duration

	files   vfs.FS        // by default the machine's
	segment int64         // the size that the journal's segments grow to, by default fullSegment
	ping    time.Duration // by default pingEvery
}

// Node is a running event store. Close it.
type Node struct {
	dir       string
	log       *log
	committer *committer
	groups    *groups
	server    *grpc.Server
	http      *http.Server
	door      *door
	users     *users // nil: the node is not secure
	logger    *slog.Logger
	tick      time.Duration
	ping      time.Duration

	advertised    endpoint // zero: what the caller used
	opened        time.Time
	subscriptions atomic.Int64

	closing context.Context // ends when Close begins
	close   context.CancelFunc
	calls   sync.WaitGroup // what gRPC does not wait for

	backup, maintenance sync.Mutex // held while a backup is made, while a scavenge goes on
	served              chan error
	once                sync.Once
	closeErr            error
}

// Open starts a node on a folder and returns when it serves. Opening takes a time
// that does not depend on the length of the log. ctx limits the opening, not the
// node.
//
// The error is or wraps ErrInUse when another node has the folder, and a
// *DamagedError when the end of the log cannot be read.
func Open(ctx context.Context, opts Options) (*Node, error) {
	if opts.Dir == "" {
		return nil, errors.New("open node: Options.Dir is not set: name the data folder")
	}
	if opts.Listen == "" {
		opts.Listen = "127.0.0.1:0"
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Tick <= 0 {
		opts.Tick = time.Second
	}
	if opts.ping <= 0 {
		opts.ping = pingEvery
	}
	if opts.segment <= 0 {
		opts.segment = fullSegment
	}
	if opts.files == nil {
		opts.files = vfs.Default
	}
	u, err := newUsers(&opts)
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	cert, err := loadCertificate(&opts)
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	var advertised endpoint
	if opts.Advertise != "" {
		if advertised, err = parseEndpoint(opts.Advertise); err != nil {
			return nil, fmt.Errorf("open node: Options.Advertise %q is HOST:PORT, as clients reach the node: %w", opts.Advertise, err)
		}
	}
	l, err := openLog(opts.Dir, opts.files, opts.segment, opts.Logger)
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	c, err := newCommitter(ctx, l, opts.Logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open node on %s: %w", opts.Dir, err), l.close())
	}
	failed := c.backgroundFailed
	l.backgroundFailed.Store(&failed)
	n := &Node{dir: opts.Dir, log: l, committer: c, logger: opts.Logger, tick: opts.Tick, ping: opts.ping, served: make(chan error, 1),
		users: u, advertised: advertised, opened: time.Now()}
	n.closing, n.close = context.WithCancel(context.WithoutCancel(ctx))
	go c.run()
	n.calls.Go(n.watchSpace)
	if n.groups, err = openGroups(n); err != nil {
		n.close()
		n.calls.Wait()
		return nil, errors.Join(fmt.Errorf("open node on %s: %w", opts.Dir, err), n.closeLog())
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", opts.Listen)
	if err != nil {
		n.close()
		n.calls.Wait()
		n.groups.close()
		return nil, errors.Join(fmt.Errorf("open node: %w", err), n.closeLog())
	}
	n.door = openDoor(listener, cert.config(), opts.Logger)
	n.server, n.http = newServer(n), newHTTPServer(n)
	if cert != nil {
		cert.check(n.clientsUse().host)
	}
	go func() { _ = n.http.Serve(n.door.forHTTP) }() // ends with the door
	go func() {
		err := n.server.Serve(n.door.forGRPC)
		if errors.Is(err, grpc.ErrServerStopped) || errors.Is(err, net.ErrClosed) {
			err = nil // closed before it got here
		}
		if err != nil {
			n.logger.Error("the event store cannot be reached any more", "error", err)
		}
		n.served <- err
	}()
	if err := n.writeAddress(); err != nil {
		n.logger.Warn("tools that are given the data folder will not find this node", "error", err)
	}
	n.logger.Info("event store is open", "dir", opts.Dir, "address", n.Addr(), "secure", n.users != nil, "position", c.horizon.durable())
	return n, nil
}

// AddressFile is the file in a data folder that holds the connection string of the
// node that has the folder. It is there while a node runs, and stays after a crash.
const AddressFile = "address"

func (n *Node) writeAddress() error {
	file, err := n.log.files.Create(n.log.files.PathJoin(n.dir, AddressFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	text := "esdb://" + n.local().String() + "?tls=" + strconv.FormatBool(n.users != nil) + "\n"
	_, err = file.Write([]byte(text))
	return errors.Join(err, file.Close())
}

// Addr is the address the node listens on.
func (n *Node) Addr() net.Addr { return n.door.listener.Addr() }

// ConnectionString is what a client connects to: the advertised address, else one
// that is good on this machine. It holds no credentials.
func (n *Node) ConnectionString() string {
	return "esdb://" + n.clientsUse().String() + "?tls=" + strconv.FormatBool(n.users != nil)
}

// clientsUse is the advertised address, else the local one.
func (n *Node) clientsUse() endpoint {
	if n.advertised != (endpoint{}) {
		return n.advertised
	}
	return n.local()
}

// local is the address for clients on this machine.
func (n *Node) local() endpoint {
	at := n.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return endpoint{host, uint16(at.Port)}
}

// Err says why the node takes no appends, or nil. After a failed write to the disk
// only a restart helps; when the disk is full, space.
func (n *Node) Err() error { return n.committer.refusal() }

// watchSpace pauses appends before the disk is quite full, so that what the node
// does behind the scenes can still be written.
func (n *Node) watchSpace() {
	ticker := time.NewTicker(n.tick)
	defer ticker.Stop()
	for {
		usage, err := n.log.files.GetDiskUsage(n.dir)
		switch {
		case err != nil: // it does not tell: it is written to until it refuses, and asked again
			n.committer.resume()
		case usage.AvailBytes < reservedSpace:
			_ = n.committer.pause(fmt.Sprintf("%d MiB are left on the disk of %s, and %d MiB are kept free", usage.AvailBytes>>20, n.dir, reservedSpace>>20))
		case usage.AvailBytes > 2*reservedSpace:
			n.committer.resume()
		}
		select {
		case <-ticker.C:
		case <-n.closing.Done():
			return
		}
	}
}

// Close ends reads and subscriptions with UNAVAILABLE and refuses new ones, lets
// running calls finish, writes the progress of persistent subscriptions and closes
// the folder. It may be called more than once.
func (n *Node) Close() error {
	n.once.Do(func() {
		n.close()
		shut := n.door.close()
		overdue := time.AfterFunc(closeGrace, n.server.Stop)
		var answers sync.WaitGroup
		answers.Go(func() { closeHTTP(n.http) })
		n.server.GracefulStop()
		overdue.Stop()
		answers.Wait()
		n.calls.Wait()
		n.groups.close()
		_ = n.log.files.Remove(n.log.files.PathJoin(n.dir, AddressFile))
		n.closeErr = errors.Join(shut, <-n.served, n.closeLog())
		n.logger.Info("event store is closed", "dir", n.dir)
	})
	return n.closeErr
}

// closeLog ends the committer and closes the folder.
func (n *Node) closeLog() error {
	n.committer.close()
	if n.committer.wedged {
		// pebble gave up while it held its own locks; only the end of the process
		// gives the folder back.
		return n.committer.err()
	}
	return n.log.close()
}

// callContext is the context of a call that also ends when the node closes; its
// cause says which. It fails when the node is closing already.
func (n *Node) callContext(call context.Context) (context.Context, context.CancelFunc, error) {
	if n.closing.Err() != nil {
		return nil, nil, toStatus(errClosing)
	}
	ctx, cancel := context.WithCancelCause(call)
	stop := context.AfterFunc(n.closing, func() { cancel(errClosing) })
	return ctx, func() { stop(); cancel(nil) }, nil
}
