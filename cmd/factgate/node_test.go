package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"
)

// selfSigned writes a certificate for localhost and 127.0.0.1 that is its own
// authority.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}

// startNode runs a factgate node until the test ends and returns what its ready line
// says.
func startNode(t *testing.T, cmd *exec.Cmd) (connection string, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
	}
	require.NoError(t, err, "%s", log)
	connection, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	require.True(t, ok, line)
	return connection, log
}

func TestASecureNodeRunsAlone(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	usersFile := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(usersFile, []byte("# who may enter\n\nfactgate:pass:word\r\n"), 0o600))
	cmd := factgate(t.Context(), "node", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--tls-cert", certFile, "--tls-key", keyFile, "--users-file", usersFile)
	cmd.Env = append(cmd.Env, nodeAdminPassword+"=a secret")
	connection, log := startNode(t, cmd)
	at, err := url.Parse(connection)
	require.NoError(t, err)
	require.Equal(t, "true", at.Query().Get("tls"), connection)
	require.Nil(t, at.User)

	try := func(user *url.Userinfo, scheme string) error {
		with := *at
		with.User, with.Scheme = user, scheme
		with.RawQuery += "&tlsCaFile=" + certFile
		config, err := esdb.ParseConnectionString(with.String())
		require.NoError(t, err)
		config.Logger = esdb.NoopLogging()
		client, err := esdb.NewClient(config)
		require.NoError(t, err)
		defer func() { _ = client.Close() }()
		_, err = client.AppendToStream(t.Context(), "s", esdb.AppendToStreamOptions{}, esdb.EventData{EventType: "a", ContentType: esdb.ContentTypeJson, Data: []byte("{}")})
		return err
	}
	for _, scheme := range []string{"esdb", "esdb+discover"} {
		require.NoError(t, try(url.UserPassword("admin", "a secret"), scheme))
		require.NoError(t, try(url.UserPassword("factgate", "pass:word"), scheme))
		var refused *esdb.Error
		require.ErrorAs(t, try(url.UserPassword("factgate", "another"), scheme), &refused)
		require.Equal(t, esdb.ErrorCodeUnauthenticated, refused.Code())
		require.ErrorAs(t, try(nil, scheme), &refused)
		require.Equal(t, esdb.ErrorCodeAccessDenied, refused.Code())
	}

	pool := x509.NewCertPool()
	trusted, err := os.ReadFile(certFile)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(trusted))
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 10 * time.Second}
	defer web.CloseIdleConnections()
	answer, err := web.Get("https://" + at.Host + "/health/live")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusNoContent, answer.StatusCode)

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
	for _, secret := range []string{"a secret", "pass:word", "another"} {
		require.NotContains(t, log.String(), secret)
	}
}

func TestANodeSaysWhatItAdvertises(t *testing.T) {
	connection, _ := startNode(t, factgate(t.Context(), "node", "--data", t.TempDir(), "--listen", "0.0.0.0:0", "--advertise", "store.example:2113"))
	require.Equal(t, "esdb://store.example:2113?tls=false", connection)
}

func TestNodeRefusals(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	written := func(text string) string {
		file := filepath.Join(t.TempDir(), "users")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	for name, c := range map[string]struct {
		args     []string
		password string
		says     string
	}{
		"a certificate without a key":  {[]string{"--tls-cert", certFile}, "x", "tls-key"},
		"TLS without a password":       {[]string{"--tls-cert", certFile, "--tls-key", keyFile}, "", nodeAdminPassword},
		"a password without TLS":       {nil, "secret", "--tls-cert"},
		"a users file without TLS":     {[]string{"--users-file", written("a:secret")}, "", "--tls-cert"},
		"two passwords for admin":      {[]string{"--tls-cert", certFile, "--tls-key", keyFile, "--users-file", written("admin:secret")}, "secret", "keep one"},
		"a line that is no user":       {[]string{"--tls-cert", certFile, "--tls-key", keyFile, "--users-file", written("a:b\nsecret\n")}, "", "users:2"},
		"a user without a password":    {[]string{"--tls-cert", certFile, "--tls-key", keyFile, "--users-file", written("a:\n")}, "", "users:1"},
		"a user twice":                 {[]string{"--tls-cert", certFile, "--tls-key", keyFile, "--users-file", written("a:secret\na:secret\n")}, "", "again"},
		"a file of no users":           {[]string{"--tls-cert", certFile, "--tls-key", keyFile, "--users-file", written("# none\n")}, "secret", "names no user"},
		"a file that is too large":     {[]string{"--tls-cert", certFile, "--tls-key", keyFile, "--users-file", written(strings.Repeat("#", maxUsersFile+1))}, "", "more than"},
		"a file that is not there":     {[]string{"--tls-cert", certFile, "--tls-key", keyFile, "--users-file", "/nowhere/users"}, "", "/nowhere/users"},
		"a certificate that is no PEM": {[]string{"--tls-cert", written("x"), "--tls-key", keyFile}, "secret", "certificate"},
		"an address without a port":    {[]string{"--advertise", "store.example"}, "", "HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			var errs bytes.Buffer
			cmd := factgate(context.Background(), append([]string{"node", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, c.args...)...)
			cmd.Env = append(cmd.Env, nodeAdminPassword+"="+c.password)
			cmd.Stderr = &errs
			require.Error(t, cmd.Run())
			require.Equal(t, exitError, cmd.ProcessState.ExitCode())
			require.Contains(t, errs.String(), c.says)
			require.NotContains(t, errs.String(), "secret")
		})
	}
}

func TestAUsersFileThatAllMayReadIsWarnedOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(file, []byte("a:b"), 0o600))
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	users, err := nodeUsers(file, true, logger)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "b"}, users)
	require.Empty(t, log.String())
	require.NoError(t, os.Chmod(file, 0o644))
	_, err = nodeUsers(file, true, logger)
	require.NoError(t, err)
	require.Contains(t, log.String(), "chmod")
}
