package esdb_test

// This file takes the place of the file of its name in the test suite of
// EventStore-Client-Go: scripts/conformance-go.sh lays it over a copy of the
// suite, where it runs. The suite's own file starts a server in a container; this
// one starts the program that FACTGATE names as "factgate node", once for every
// database that the suite asks for. The suite's tests are what they were.
//
// What the suite finds here and not in a server's image:
//
//   - "populated" is 6,000 events in dataset20M-0 and nothing else. The image's
//     other streams, its times and its positions cannot be made through a client.
//   - there is no user "admin" to wait for, and no election.
//   - names are unique. The suite's generator repeats itself.

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// eventsInDataset is how many events the suite expects in dataset20M-0.
const eventsInDataset = 6_000

// Container is a node of its own in a process of its own.
type Container struct {
	Endpoint string
	process  *exec.Cmd
	dir      string
}

// Close ends the node in good order.
func (c *Container) Close() {
	err := c.process.Process.Signal(os.Interrupt)
	if err == nil {
		err = c.process.Wait()
	}
	if err != nil {
		panic(fmt.Sprintf("the node on %s did not end in good order: %v", c.Endpoint, err))
	}
	os.RemoveAll(c.dir)
}

type uniqueNames struct{}

func (uniqueNames) Generate() string { return "name-" + uuid.NewString() }

var NAME_GENERATOR uniqueNames

func GetEnvOrDefault(key, otherwise string) string {
	if value, set := os.LookupEnv(key); set {
		return value
	}
	return otherwise
}

// IsESDBVersion20 lets tests of an old server skip what it cannot do.
func IsESDBVersion20() bool { return false }

func CreateEmptyDatabase(t *testing.T) (*Container, *esdb.Client) {
	container := startNode(t)
	return container, GetClient(t, container)
}

func CreatePopulatedDatabase(t *testing.T) (*Container, *esdb.Client) {
	container, client := CreateEmptyDatabase(t)
	events := make([]esdb.EventData, eventsInDataset)
	for i := range events {
		events[i] = createTestEvent()
	}
	_, err := client.AppendToStream(context.Background(), "dataset20M-0", esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, events...)
	if err != nil {
		t.Fatalf("filling the database: %v", err)
	}
	return container, client
}

func startNode(t *testing.T) *Container {
	program := os.Getenv("FACTGATE")
	if program == "" {
		t.Fatal("FACTGATE must name the factgate program: run scripts/conformance-go.sh")
	}
	dir, err := os.MkdirTemp("", "node-") // the script sets TMPDIR and removes it
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "node", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	if secure() {
		cmd.Args = append(cmd.Args, "--tls-cert", "../certs/node/node.crt", "--tls-key", "../certs/node/node.key")
		cmd.Env = append(os.Environ(), "FACTGATE_NODE_ADMIN_PASSWORD=changeit")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	// The script ends what a panic of the suite leaves behind.
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the node did not say that it is ready: %v", err)
	}
	endpoint, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "ready esdb://"), "?")
	return &Container{Endpoint: endpoint, process: cmd, dir: dir}
}

func GetClient(t *testing.T, container *Container) *esdb.Client {
	if secure() {
		return CreateClient("esdb://admin:changeit@"+container.Endpoint+"?tlsverifycert=false", t)
	}
	return CreateClient("esdb://"+container.Endpoint+"?tls=false", t)
}

func CreateClient(connectionString string, t *testing.T) *esdb.Client {
	config, err := esdb.ParseConnectionString(connectionString)
	if err != nil {
		t.Fatalf("%s: %v", connectionString, err)
	}
	client, err := esdb.NewClient(config)
	if err != nil {
		t.Fatalf("%s: %v", connectionString, err)
	}
	return client
}

// WaitForAdminToBeAvailable waits for an answer of the node, as it has no users.
func WaitForAdminToBeAvailable(t *testing.T, client *esdb.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := client.ReadAll(ctx, esdb.ReadAllOptions{}, 1)
	if err != nil {
		t.Fatalf("the node does not answer: %v", err)
	}
	stream.Close()
}
