package esdb_test

// This file is added to the suite: it makes the certificates that the suite
// expects in ../certs, which its authors make in a container.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if secure() {
		if err := makeCertificates("../certs"); err != nil {
			fmt.Fprintln(os.Stderr, "making certificates:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// secure says that the suite wants a node with TLS and users.
func secure() bool { return GetEnvOrDefault("EVENTSTORE_INSECURE", "true") == "false" }

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func makeCertificates(dir string) error {
	ca, err := newAuthority(filepath.Join(dir, "ca", "ca"))
	if err != nil {
		return err
	}
	if _, err := newAuthority(filepath.Join(dir, "untrusted-ca", "ca")); err != nil {
		return err
	}
	for name, usage := range map[string]x509.ExtKeyUsage{
		"node":         x509.ExtKeyUsageServerAuth,
		"user-admin":   x509.ExtKeyUsageClientAuth,
		"user-invalid": x509.ExtKeyUsageClientAuth,
	} {
		template := template(name)
		template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
		if _, err := issue(filepath.Join(dir, name, name), template, ca); err != nil {
			return err
		}
	}
	return nil
}

func newAuthority(file string) (*authority, error) {
	template := template("ca")
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign
	return issue(file, template, nil)
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

// issue writes FILE.crt and FILE.key. Without an issuer the certificate signs itself.
func issue(file string, template *x509.Certificate, issuer *authority) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if issuer == nil {
		issuer = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, key.Public(), issuer.key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	for name, block := range map[string]*pem.Block{
		file + ".crt": {Type: "CERTIFICATE", Bytes: der},
		file + ".key": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	certificate, err := x509.ParseCertificate(der)
	return &authority{certificate, key}, err
}
