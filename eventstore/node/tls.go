package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// certificate is a pair of PEM files. A pair that replaces it is served from the
// next handshake on; one that cannot be read leaves the old one in place.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu     sync.Mutex
	seen   [2]fileState // what was last tried
	loaded *tls.Certificate
}

type fileState struct {
	modified time.Time
	size     int64
}

// loadCertificate returns nil when no files are named: then there is no TLS.
func loadCertificate(opts *Options) (*certificate, error) {
	switch {
	case opts.CertFile == "" && opts.KeyFile == "":
		return nil, nil
	case opts.CertFile == "":
		return nil, errors.New("TLS needs a certificate beside its key: set Options.CertFile")
	case opts.KeyFile == "":
		return nil, errors.New("TLS needs the key of its certificate: set Options.KeyFile")
	}
	c := &certificate{certFile: opts.CertFile, keyFile: opts.KeyFile, logger: opts.Logger}
	var err error
	if c.seen, err = c.states(); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if c.loaded, err = c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair, nil
}

func (c *certificate) states() (now [2]fileState, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return now, err
		}
		now[i] = fileState{info.ModTime(), info.Size()}
	}
	return now, nil
}

// current is the certificate for a handshake.
func (c *certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.states()
	if err != nil || now == c.seen {
		return c.loaded, nil // files that are away for a moment are being replaced
	}
	c.seen = now
	renewed, err := c.load()
	if err != nil {
		// Half of a new pair looks like this too; its other half changes the state.
		c.logger.Warn("a new certificate cannot be used and the old one stays", "error", err)
		return c.loaded, nil
	}
	c.loaded = renewed
	c.logger.Info("a new certificate is in use", "file", c.certFile, "until", renewed.Leaf.NotAfter)
	return c.loaded, nil
}

// config is what the door speaks. gRPC clients offer h2 alone. Who offers HTTP/1.1
// as well is no gRPC client and gets that, because HTTP/2 leads to gRPC.
func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1", "h2"},
		GetCertificate: c.current,
	}
}

// check warns of what clients will refuse.
func (c *certificate) check(host string) {
	leaf := c.loaded.Leaf
	if err := leaf.VerifyHostname(host); err != nil {
		c.logger.Warn("clients that verify the certificate will refuse it under the address that they are told: advertise a name that it holds", "error", err)
	}
	if now := time.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		c.logger.Warn("clients that verify the certificate will refuse it: it is not valid now", "from", leaf.NotBefore, "until", leaf.NotAfter)
	}
}

// endpoint is an address as clients dial it.
type endpoint struct {
	host string
	port uint16
}

// parseEndpoint reads HOST:PORT.
func parseEndpoint(text string) (endpoint, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return endpoint{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || number == 0:
		return endpoint{}, fmt.Errorf("port %q is no number from 1 to 65535", port)
	case host == "" || len(host) > 255:
		return endpoint{}, errors.New("a host has 1 to 255 characters")
	}
	return endpoint{host, uint16(number)}, nil
}

func (e endpoint) String() string { return net.JoinHostPort(e.host, strconv.Itoa(int(e.port))) }
