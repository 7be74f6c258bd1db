package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// rigUsers are the users of the token file. Their token is "token-" and the name; users.go says what each may do.
var rigUsers = []struct{ name, groups string }{
	{"admin", "system:masters"},
	{"viewer", "rig:viewers"},
	{"team", "rig:team"},
	{"nsreader", ""},
	{"nobody", ""},
}

func definePorts(fs *flag.FlagSet) func(context.Context, *rig) error {
	n := fs.Int("n", 4, "how many")
	return func(context.Context, *rig) error {
		seen := map[int]bool{}
		var ports []string
		for len(ports) < *n {
			// Below the kernel's range for outgoing connections.
			port := 20000 + mathrand.IntN(10000)
			listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil || seen[port] {
				continue
			}
			defer listener.Close()
			seen[port] = true
			ports = append(ports, strconv.Itoa(port))
		}
		fmt.Println(strings.Join(ports, " "))
		return nil
	}
}

func defineInit(fs *flag.FlagSet) func(context.Context, *rig) error {
	port := fs.Int("api-port", 0, "the API server's port")
	return func(_ context.Context, r *rig) error {
		certs := filepath.Join(r.dir, "certs")
		if _, err := os.Stat(filepath.Join(certs, "server.crt")); errors.Is(err, os.ErrNotExist) {
			if err := writeCerts(certs); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		var tokens strings.Builder
		for _, u := range rigUsers {
			fmt.Fprintf(&tokens, "token-%s,%s,uid-%s,%q\n", u.name, u.name, u.name, u.groups)
		}
		if err := os.WriteFile(filepath.Join(r.dir, "conf", "tokens.csv"), []byte(tokens.String()), 0o600); err != nil {
			return err
		}
		return writeKubeconfigs(r.dir, *port)
	}
}

func writeCerts(dir string) error {
	ca, caKey, err := newCA("ekscope-rig-ca")
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "ca.crt"), "CERTIFICATE", ca.Raw); err != nil {
		return err
	}
	issue := func(name string, template x509.Certificate) error {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
		template.NotBefore, template.NotAfter = ca.NotBefore, ca.NotAfter
		template.KeyUsage = x509.KeyUsageDigitalSignature
		raw, err := x509.CreateCertificate(rand.Reader, &template, ca, key.Public(), caKey)
		if err != nil {
			return err
		}
		if err := writeKey(filepath.Join(dir, name+".key"), key); err != nil {
			return err
		}
		return writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", raw)
	}
	if err := issue("client", x509.Certificate{
		Subject:     pkix.Name{CommonName: "cert", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return err
	}
	// Service account tokens are signed with RSA, as on EKS.
	sa, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, "sa.key"), sa); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(sa.Public())
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "sa.pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	// Last: its presence says that all are there.
	return issue("server", x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
	})
}

func newCA(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	return cert, key, err
}

func writeKey(path string, key any) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", raw)
}

func writePEM(path, kind string, raw []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600)
}

// writeKubeconfigs writes the one for users (all contexts, data embedded) and the one for controllers.
func writeKubeconfigs(dir string, port int) error {
	read := func(name string) []byte {
		raw, _ := os.ReadFile(filepath.Join(dir, "certs", name))
		return raw
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["rig"] = &clientcmdapi.Cluster{
		Server:                   "https://127.0.0.1:" + strconv.Itoa(port),
		CertificateAuthorityData: read("ca.crt"),
	}
	add := func(name string, user clientcmdapi.AuthInfo) {
		config.AuthInfos[name] = &user
		config.Contexts[name] = &clientcmdapi.Context{Cluster: "rig", AuthInfo: name}
	}
	for _, u := range rigUsers {
		add(u.name, clientcmdapi.AuthInfo{Token: "token-" + u.name})
	}
	add("cert", clientcmdapi.AuthInfo{ClientCertificateData: read("client.crt"), ClientKeyData: read("client.key")})
	config.CurrentContext = "admin"
	if err := clientcmd.WriteToFile(*config, filepath.Join(dir, "kubeconfig")); err != nil {
		return err
	}
	// Controllers keep to the certificate, which works with a token webhook that says no as well.
	config.CurrentContext = "cert"
	return clientcmd.WriteToFile(*config, filepath.Join(dir, "conf", "system.kubeconfig"))
}

func defineWait(fs *flag.FlagSet) func(context.Context, *rig) error {
	pid := fs.Int("pid", 0, "give up when this process is gone")
	timeout := fs.Duration("timeout", 3*time.Minute, "give up after")
	return func(ctx context.Context, r *rig) error {
		server, err := r.env("SERVER")
		if err != nil {
			return err
		}
		certs := filepath.Join(r.dir, "certs")
		pair, err := tls.LoadX509KeyPair(filepath.Join(certs, "client.crt"), filepath.Join(certs, "client.key"))
		if err != nil {
			return err
		}
		ca, err := os.ReadFile(filepath.Join(certs, "ca.crt"))
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}},
		}}
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		for {
			if ready(client, server) {
				return nil
			}
			if *pid > 0 && syscall.Kill(*pid, 0) != nil {
				return errors.New("the API server has ended")
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the API server is not ready after %s", *timeout)
			case <-time.After(30 * time.Millisecond):
			}
		}
	}
}

func ready(client http.Client, server string) bool {
	response, err := client.Get(server + "/readyz")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode == http.StatusOK
}

// defineSampleLog prints 2,000 entries such as containers write: JSON, klog, access lines, colours, long ones, traces.
// They stand in the form in which container runtimes keep them (time, stream, full or partial, text): kwok reads that.
func defineSampleLog(*flag.FlagSet) func(context.Context, *rig) error {
	return func(context.Context, *rig) error {
		start := time.Now().Add(-time.Hour)
		for i := range 2000 {
			at := start.Add(time.Duration(i) * 1700 * time.Millisecond).UTC()
			stream := "stdout"
			if i%10 == 5 || i%10 == 9 {
				stream = "stderr"
			}
			for line := range strings.SplitSeq(logEntry(i, at), "\n") {
				fmt.Printf("%s %s F %s\n", at.Format(time.RFC3339Nano), stream, line)
			}
		}
		return nil
	}
}

func logEntry(i int, at time.Time) string {
	switch i % 10 {
	case 0:
		return fmt.Sprintf("I%s       1 controller.go:%d] \"Reconciled\" object=\"shop/checkout-%d\" duration=\"%dms\"", at.Format("0102 15:04:05.000000"), 100+i%50, i, i%90)
	case 3:
		return fmt.Sprintf("127.0.0.1 - - [%s] \"GET /api/v1/orders/%d HTTP/1.1\" 200 %d", at.Format("02/Jan/2006:15:04:05 -0700"), i, 300+i)
	case 5:
		return fmt.Sprintf("\x1b[33mWARN\x1b[0m %s retrying in %ds: connection refused", at.Format(time.RFC3339), i%30)
	case 7:
		return fmt.Sprintf("{\"level\":\"error\",\"ts\":%q,\"msg\":\"request failed\",\"status\":503,\"attempt\":%d,\"path\":\"/pay\"}", at.Format(time.RFC3339Nano), i%5)
	case 9:
		if i%100 == 99 {
			return fmt.Sprintf("panic: runtime error: index out of range [%d]\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:%d +0x1d", i, i)
		}
		return at.Format(time.RFC3339) + strings.Repeat(" long line", 60)
	default:
		return fmt.Sprintf("{\"level\":\"info\",\"ts\":%q,\"msg\":\"request served\",\"status\":200,\"ms\":%d,\"user\":\"u-%04d\"}", at.Format(time.RFC3339Nano), i%250, i*7%9999)
	}
}
