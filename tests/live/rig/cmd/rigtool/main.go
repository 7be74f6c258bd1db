// Command rigtool is the Go half of the live test rig: it makes the certificates and kubeconfigs of a control plane
// that rig.sh starts, and fills it with objects.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// command is one sub-command. define declares its flags and returns what to run once they are parsed.
type command struct {
	name   string
	about  string
	define func(fs *flag.FlagSet) func(ctx context.Context, r *rig) error
}

var commands = []command{
	{"ports", "print N free loopback ports", definePorts},
	{"init", "write certificates, tokens and kubeconfigs into the rig's folder", defineInit},
	{"wait", "wait until the API server is ready", defineWait},
	{"samplelog", "print a sample container log", defineSampleLog},
	{"users", "roles of the rig's users, namespaces team-a and team-b", defineUsers},
	{"bulk", "many nodes and pods, straight into etcd", defineBulk},
	{"cases", "namespace cases: pods in every odd state", defineCases},
	{"crds", "custom resources with printer columns, filler CRDs, and some of many other kinds", defineCRDs},
	{"workloads", "deployments, jobs, services, budgets, autoscalers", defineWorkloads},
	{"metrics", "metrics.k8s.io as custom resources", defineMetrics},
	{"churn", "change pods through the API at a steady rate", defineChurn},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rigtool:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		for _, c := range commands {
			fmt.Printf("  %-10s %s\n", c.name, c.about)
		}
		return nil
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		fs := flag.NewFlagSet("rigtool "+c.name, flag.ExitOnError)
		dir := fs.String("dir", ".", "the rig's folder")
		quiet := fs.Bool("quiet", false, "print no summary line")
		body := c.define(fs)
		_ = fs.Parse(args[1:])
		if fs.NArg() > 0 {
			return fmt.Errorf("%s: unexpected argument %q", c.name, fs.Arg(0))
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer cancel()
		return body(ctx, &rig{dir: abs, quiet: *quiet, started: time.Now()})
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// rig is a rig's folder, with what is read from it on demand.
type rig struct {
	dir     string
	quiet   bool
	started time.Time
}

// done prints a command's summary line.
func (r *rig) done(format string, args ...any) {
	if !r.quiet {
		fmt.Printf(format+" in %.1fs\n", append(args, time.Since(r.started).Seconds())...)
	}
}

// env reads one value of rig.env, which rig.sh writes.
func (r *rig) env(key string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(r.dir, "rig.env"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("%s/rig.env has no %s", r.dir, key)
}
