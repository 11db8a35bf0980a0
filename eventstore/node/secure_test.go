package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// pki is a certificate authority and what it has issued, as files.
type pki struct {
	key       *ecdsa.PrivateKey
	authority *x509.Certificate
	pool      *x509.CertPool
	serial    int64

	caFile, certFile, keyFile string
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	dir := t.TempDir()
	p := &pki{pool: x509.NewCertPool(), caFile: filepath.Join(dir, "ca.pem"), certFile: filepath.Join(dir, "node.pem"), keyFile: filepath.Join(dir, "node.key")}
	var err error
	p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &p.key.PublicKey, p.key)
	require.NoError(t, err)
	p.authority, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	p.pool.AddCert(p.authority)
	writePEM(t, p.caFile, "CERTIFICATE", der)
	p.issue(t, "localhost")
	return p
}

// issue replaces the node's certificate by one for 127.0.0.1 and a name.
func (p *pki) issue(t testing.TB, name string) {
	t.Helper()
	p.serial++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1 + p.serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.authority, &key.PublicKey, p.key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	writePEM(t, p.certFile, "CERTIFICATE", der)
	writePEM(t, p.keyFile, "PRIVATE KEY", private)
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// secure adds TLS and users to a node's options.
func (p *pki) secure(opts Options) Options {
	opts.CertFile, opts.KeyFile = p.certFile, p.keyFile
	opts.Users = map[string]string{"admin": "changed:it", "factgate": "p@ss wörd"}
	return opts
}

// as is the connection string of a user; no user, no credentials.
func (p *pki) as(scheme, address string, user *url.Userinfo) string {
	at := url.URL{Scheme: scheme, Host: address, User: user, RawQuery: "tls=true&tlsCaFile=" + p.caFile}
	return at.String()
}

// connectTo returns an official client of a connection string.
func connectTo(t testing.TB, connection string) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString(connection)
	require.NoError(t, err)
	config.Logger = esdb.NoopLogging()
	config.DiscoveryInterval = 10
	client, err := esdb.NewClient(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// logged is a log that several goroutines write and a test reads.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestSecureNode(t *testing.T) {
	pki := newPKI(t)
	log := &logged{}
	n := start(t, pki.secure(Options{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}))
	address := n.Addr().String()
	require.Equal(t, "esdb://"+address+"?tls=true", n.ConnectionString())
	admin := url.UserPassword("admin", "changed:it")

	t.Run("serves its users, over both schemes", func(t *testing.T) {
		for i, user := range []*url.Userinfo{admin, url.UserPassword("factgate", "p@ss wörd")} {
			for _, scheme := range []string{"esdb", "esdb+discover"} {
				client := connectTo(t, pki.as(scheme, address, user))
				stream := scheme + user.Username()
				appendAny(t, client, stream, jsonEvents(3, "a")...)
				require.Len(t, readStream(t, client, stream, esdb.ReadStreamOptions{}, 9), 3)
				sub, err := client.SubscribeToAll(within(t), esdb.SubscribeToAllOptions{From: esdb.Start{}})
				require.NoError(t, err)
				require.NotNil(t, sub.Recv().EventAppeared)
				require.NoError(t, sub.Close())
				createGroup(t, client, stream, settings(nil))
				groups, err := client.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{})
				require.NoError(t, err)
				require.NotEmpty(t, groups, "%d", i)
			}
		}
	})
	t.Run("credentials of a call go before those of the connection", func(t *testing.T) {
		client := connectTo(t, pki.as("esdb", address, url.UserPassword("admin", "guess")))
		_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("a", "{}"))
		require.Equal(t, esdb.ErrorCodeUnauthenticated, code(err), "%v", err)
		_, err = client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{Authenticated: &esdb.Credentials{Login: "admin", Password: "changed:it"}}, jsonEvent("a", "{}"))
		require.NoError(t, err)
	})
	for name, c := range map[string]struct {
		user *url.Userinfo
		code esdb.ErrorCode
	}{
		"no credentials":       {nil, esdb.ErrorCodeAccessDenied},
		"a wrong password":     {url.UserPassword("admin", "changed"), esdb.ErrorCodeUnauthenticated},
		"a longer password":    {url.UserPassword("admin", "changed:it!"), esdb.ErrorCodeUnauthenticated},
		"another's password":   {url.UserPassword("factgate", "changed:it"), esdb.ErrorCodeUnauthenticated},
		"a user of no account": {url.UserPassword("nobody", "changed:it"), esdb.ErrorCodeUnauthenticated},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			client := connectTo(t, pki.as("esdb+discover", address, c.user))
			version, err := client.GetServerVersion()
			require.NoError(t, err, "discovery and features are open to all")
			require.Equal(t, 24, version.Major)
			for range 20 {
				_, err = client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvents(50, "a")...)
				require.Equal(t, c.code, code(err), "a client that still sends sees why: %v", err)
			}
			_, err = drainErr(client.ReadStream(within(t), "s", esdb.ReadStreamOptions{}, 1))
			require.Equal(t, c.code, code(err), "%v", err)
			_, err = client.SubscribeToAll(within(t), esdb.SubscribeToAllOptions{})
			require.Error(t, err)
			_, err = client.SubscribeToPersistentSubscriptionToAll(within(t), "g", esdb.SubscribeToPersistentSubscriptionOptions{})
			require.Error(t, err)
			err = client.CreatePersistentSubscriptionToAll(within(t), "g", esdb.PersistentAllSubscriptionOptions{})
			require.Equal(t, c.code, code(err), "%v", err)
			_, err = client.ListAllPersistentSubscriptions(within(t), esdb.ListPersistentSubscriptionsOptions{})
			require.Equal(t, c.code, code(err), "%v", err)
		})
	}
	t.Run("speaks nothing in the clear", func(t *testing.T) {
		client := connectTo(t, "esdb://"+address+"?tls=false&maxDiscoverAttempts=1")
		_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("a", "{}"))
		require.Error(t, err)
	})
	t.Run("is refused by who does not know its authority", func(t *testing.T) {
		client := connectTo(t, newPKI(t).as("esdb", address, admin)+"&maxDiscoverAttempts=1")
		_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("a", "{}"))
		require.ErrorContains(t, err, "certificate")
	})
	require.NoError(t, n.Close())
	require.Contains(t, log.String(), "wrong credentials were refused")
	for _, secret := range []string{"changed", "p@ss", "guess", base64.StdEncoding.EncodeToString([]byte("admin:changed:it"))} {
		require.NotContains(t, log.String(), secret)
	}
}

// What clients see on the wire when they are refused.
func TestRefusedCredentialsOnTheWire(t *testing.T) {
	pki := newPKI(t)
	n := start(t, pki.secure(Options{}))
	conn, err := grpc.NewClient(n.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pki.pool})))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, c := range map[string]struct {
		headers []string
		open    codes.Code
		closed  codes.Code
	}{
		"none":              {nil, codes.OK, codes.PermissionDenied},
		"another scheme":    {[]string{"Bearer abc"}, codes.OK, codes.PermissionDenied},
		"two of them":       {[]string{basic("admin:changed:it"), basic("admin:changed:it")}, codes.OK, codes.PermissionDenied},
		"wrong":             {[]string{basic("admin:x")}, codes.Unauthenticated, codes.Unauthenticated},
		"an empty password": {[]string{basic("admin:")}, codes.Unauthenticated, codes.Unauthenticated},
		"no base64":         {[]string{"Basic ***"}, codes.Unauthenticated, codes.Unauthenticated},
		"no colon":          {[]string{basic("admin")}, codes.Unauthenticated, codes.Unauthenticated},
		"nothing at all":    {[]string{"Basic "}, codes.Unauthenticated, codes.Unauthenticated},
		"right":             {[]string{basic("admin:changed:it")}, codes.OK, codes.NotFound},
		"right, small case": {[]string{strings.Replace(basic("admin:changed:it"), "B", "b", 1)}, codes.OK, codes.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.NewOutgoingContext(within(t), metadata.MD{"authorization": c.headers})
			_, err := serverfeatures.NewServerFeaturesClient(conn).GetSupportedMethods(ctx, &shared.Empty{})
			require.Equal(t, c.open, status.Code(err), "%v", err)
			_, err = gossip.NewGossipClient(conn).Read(ctx, &shared.Empty{})
			require.Equal(t, c.open, status.Code(err), "%v", err)

			var trailer metadata.MD
			_, err = persistent.NewPersistentSubscriptionsClient(conn).GetInfo(ctx, &persistent.GetInfoReq{Options: &persistent.GetInfoReq_Options{
				StreamOption: &persistent.GetInfoReq_Options_All{All: &shared.Empty{}}, GroupName: "none"}}, grpc.Trailer(&trailer))
			require.Equal(t, c.closed, status.Code(err), "%v", err)
			if c.closed == codes.PermissionDenied {
				require.Equal(t, []string{"access-denied"}, trailer.Get("exception"))
			}
			if c.closed == codes.NotFound {
				return
			}
			read, err := streams.NewStreamsClient(conn).Read(ctx, &streams.ReadReq{})
			require.NoError(t, err)
			_, err = read.Recv()
			require.Equal(t, c.closed, status.Code(err), "%v", err)
			if c.closed == codes.PermissionDenied {
				require.Equal(t, []string{"access-denied"}, read.Trailer().Get("exception"))
			}
		})
	}
}

func TestCertificate(t *testing.T) {
	t.Run("a new one is served without a restart, half a one is not", func(t *testing.T) {
		pki := newPKI(t)
		log := &logged{}
		n := start(t, pki.secure(Options{Logger: slog.New(slog.NewTextHandler(log, nil))}))
		serves := func() string {
			conn, err := tls.Dial("tcp", n.Addr().String(), &tls.Config{RootCAs: pki.pool})
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
		require.Equal(t, "localhost", serves())
		old, err := os.ReadFile(pki.keyFile)
		require.NoError(t, err)
		pki.issue(t, "renewed")
		renewed, err := os.ReadFile(pki.keyFile)
		require.NoError(t, err)
		later := func(file string, content []byte) {
			require.NoError(t, os.WriteFile(file, content, 0o600))
			future := time.Now().Add(time.Duration(len(log.String())) * time.Millisecond) // another time than before
			require.NoError(t, os.Chtimes(file, future, future))
		}
		later(pki.keyFile, old)
		require.Equal(t, "localhost", serves())
		require.Contains(t, log.String(), "the old one stays")
		later(pki.keyFile, renewed)
		require.Equal(t, "renewed", serves())
		require.NoError(t, os.Remove(pki.certFile))
		require.Equal(t, "renewed", serves())
	})
	t.Run("a name that it does not hold is warned of", func(t *testing.T) {
		pki := newPKI(t)
		log := &logged{}
		n := start(t, pki.secure(Options{Advertise: "store.example:2113", Logger: slog.New(slog.NewTextHandler(log, nil))}))
		require.Equal(t, "esdb://store.example:2113?tls=true", n.ConnectionString())
		require.Contains(t, log.String(), "store.example")
	})
}

func TestOpenRefusesHalfASecureNode(t *testing.T) {
	pki := newPKI(t)
	good := pki.secure(Options{})
	for name, c := range map[string]struct {
		change func(*Options)
		says   string
	}{
		"no key":              {func(o *Options) { o.KeyFile = "" }, "Options.KeyFile"},
		"no certificate":      {func(o *Options) { o.CertFile = ""; o.Users = nil }, "Options.CertFile"},
		"a missing file":      {func(o *Options) { o.CertFile += ".none" }, "node.pem.none"},
		"a key of another":    {func(o *Options) { o.KeyFile = newPKI(t).keyFile }, "does not match"},
		"no users":            {func(o *Options) { o.Users = nil }, "Options.Users"},
		"users without TLS":   {func(o *Options) { o.CertFile, o.KeyFile = "", "" }, "in the clear"},
		"an empty password":   {func(o *Options) { o.Users = map[string]string{"admin": ""} }, `"admin"`},
		"a name with a colon": {func(o *Options) { o.Users = map[string]string{"a:b": "x"} }, `"a:b"`},
		"an empty name":       {func(o *Options) { o.Users = map[string]string{"": "x"} }, "a name has"},
		"no port":             {func(o *Options) { o.Advertise = "store.example" }, "HOST:PORT"},
		"port 0":              {func(o *Options) { o.Advertise = "store.example:0" }, "HOST:PORT"},
		"no host":             {func(o *Options) { o.Advertise = ":2113" }, "HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := good
			opts.Dir = t.TempDir()
			c.change(&opts)
			_, err := Open(context.Background(), opts)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "changed:it")
			start(t, Options{Dir: opts.Dir}) // the folder is free
		})
	}
}
