package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"
)

// bare opens a connection.
func bare(t testing.TB, n *Node) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

func TestDoor(t *testing.T) {
	settings := string(preface) + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	t.Run("connections that do not say what they want do not hold up Close", func(t *testing.T) {
		n := start(t, Options{})
		for _, said := range []string{"", "P", string(preface[:20]), string(preface), settings[:len(settings)-1]} {
			c := bare(t, n)
			_, err := io.WriteString(c, said)
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return n.door.connections() == 5 }, patience, time.Millisecond)
		began := time.Now()
		require.NoError(t, n.Close())
		require.Less(t, time.Since(began), closeGrace)
		require.Zero(t, n.door.connections())
	})
	t.Run("an idle HTTP/1.1 connection does not hold up Close", func(t *testing.T) {
		n := start(t, Options{})
		c := bare(t, n)
		_, err := io.WriteString(c, "GET /health/live HTTP/1.1\r\nHost: node\r\n\r\n")
		require.NoError(t, err)
		answer := make([]byte, 12)
		_, err = io.ReadFull(c, answer)
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 204", string(answer))
		require.NoError(t, n.Close())
	})
	t.Run("what comes in pieces is understood", func(t *testing.T) {
		n := start(t, Options{})
		c := bare(t, n)
		require.NoError(t, c.(*net.TCPConn).SetNoDelay(true))
		for _, b := range []byte(settings) {
			_, err := c.Write([]byte{b})
			require.NoError(t, err)
		}
		answer := make([]byte, frameHeader)
		_, err := io.ReadFull(c, answer)
		require.NoError(t, err)
		require.EqualValues(t, 4, answer[3], "gRPC's SETTINGS")
	})
	t.Run("garbage is refused in HTTP/1.1", func(t *testing.T) {
		n := start(t, Options{})
		c := bare(t, n)
		_, err := io.WriteString(c, "\x16\x03\x01 this is TLS where there is none\r\n\r\n")
		require.NoError(t, err)
		answer, err := io.ReadAll(c)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 400 "), "%q", answer)
	})
	t.Run("settings have a limit", func(t *testing.T) {
		n := start(t, Options{})
		c := bare(t, n)
		_, err := io.WriteString(c, string(preface)+"\x00\x40\x00\x04\x00\x00\x00\x00\x00")
		require.NoError(t, err)
		_, err = io.ReadAll(c)
		require.NoError(t, err, "the node hangs up")
		require.Eventually(t, func() bool { return n.door.connections() == 0 }, patience, time.Millisecond)
	})
	t.Run("connections have a limit, and those that leave make room", func(t *testing.T) {
		var text bytes.Buffer
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		d := openDoor(listener, nil, slog.New(slog.NewTextHandler(&text, nil)))
		d.mu.Lock()
		d.limit = 1
		d.mu.Unlock()
		to := listener.Addr().String()
		first, err := net.Dial("tcp", to)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return d.connections() == 1 }, patience, time.Millisecond)
		for range 3 {
			second, err := net.Dial("tcp", to)
			require.NoError(t, err)
			_, err = second.Read(make([]byte, 1))
			require.Error(t, err)
			require.NoError(t, second.Close())
		}
		require.NoError(t, first.Close())
		require.Eventually(t, func() bool { return d.connections() == 0 }, patience, time.Millisecond)
		third, err := net.Dial("tcp", to)
		require.NoError(t, err)
		_, err = io.WriteString(third, settings)
		require.NoError(t, err)
		guest, err := d.forGRPC.Accept()
		require.NoError(t, err)
		said := make([]byte, len(settings))
		_, err = io.ReadFull(guest, said)
		require.NoError(t, err)
		require.Equal(t, settings, string(said), "nothing is lost on the way")
		require.NoError(t, guest.Close())
		require.Error(t, guest.Close())
		require.Zero(t, d.connections())
		require.NoError(t, third.Close())
		require.NoError(t, d.close())
		_, err = d.forHTTP.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, 1, strings.Count(text.String(), "refuses more"), text.String())
	})
	t.Run("a client comes back to a node that was opened anew", func(t *testing.T) {
		n := start(t, Options{})
		client := connect(t, n)
		appendAny(t, client, "s", jsonEvent("a", "{}"))
		at := n.Addr().String()
		require.NoError(t, n.Close())
		start(t, Options{Dir: n.dir, Listen: at})
		require.Eventually(t, func() bool {
			_, err := client.AppendToStream(within(t), "s", esdb.AppendToStreamOptions{}, jsonEvent("b", "{}"))
			return err == nil
		}, patience, 10*time.Millisecond)
	})
}

// HTTP/2 that is not gRPC is refused: it is served by gRPC's transport.
func TestHTTP2IsForGRPC(t *testing.T) {
	n := start(t, Options{})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://" + n.Addr().String() + "/health/live")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, 2, answer.ProtoMajor)
	require.Equal(t, http.StatusUnsupportedMediaType, answer.StatusCode)
}

// Who may be offered either gets HTTP/1.1 over TLS, where the paths are.
func TestTLSChoosesTheProtocol(t *testing.T) {
	pki := newPKI(t)
	n := start(t, pki.secure(Options{}))
	for _, c := range []struct {
		offers []string
		gets   string
	}{
		{[]string{"h2"}, "h2"},
		{[]string{"h2", "http/1.1"}, "http/1.1"},
		{nil, ""},
	} {
		config := &tls.Config{RootCAs: pki.pool, ServerName: "localhost", NextProtos: c.offers}
		dialer := &tls.Dialer{Config: config}
		conn, err := dialer.DialContext(context.Background(), "tcp", n.Addr().String())
		require.NoError(t, err)
		require.Equal(t, c.gets, conn.(*tls.Conn).ConnectionState().NegotiatedProtocol)
		require.NoError(t, conn.Close())
	}
	old := &tls.Config{RootCAs: pki.pool, ServerName: "localhost", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	_, err := tls.Dial("tcp", n.Addr().String(), old)
	require.Error(t, err, "below TLS 1.2")

	c := bare(t, n)
	_, err = io.WriteString(c, "GET /health/live HTTP/1.1\r\nHost: node\r\n\r\n")
	require.NoError(t, err)
	answer, _ := io.ReadAll(c) // the rest of the request may reset the connection behind the answer
	require.Contains(t, string(answer), "speaks TLS")
}

func FuzzReadGreeting(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"))
	f.Add(append(bytes.Clone(preface), 0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 'm', 'o', 'r', 'e'))
	f.Add(append(bytes.Clone(preface), 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, said []byte) {
		head, isHTTP2, err := readGreeting(bytes.NewReader(said))
		slow, slowHTTP2, slowErr := readGreeting(iotest.OneByteReader(bytes.NewReader(said)))
		require.Equal(t, isHTTP2, slowHTTP2)
		require.Equal(t, err == nil, slowErr == nil)
		if err != nil {
			if errors.Is(err, io.EOF) && len(said) > 0 {
				require.Equal(t, preface[:min(len(said), len(preface))], said[:min(len(said), len(preface))])
			}
			return
		}
		require.True(t, bytes.HasPrefix(said, head), "what was read is kept")
		require.True(t, bytes.HasPrefix(said, slow))
		require.NotEmpty(t, slow)
		require.Equal(t, bytes.HasPrefix(said, preface), isHTTP2)
	})
}
