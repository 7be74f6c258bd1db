package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The API server dials a node's address for logs and exec, so it must be this machine's own.
const loopback = "127.0.0.1"

const (
	holdKey    = "ekscope-rig/hold"    // kwok leaves such an object as it is
	outcomeKey = "ekscope-rig/outcome" // what kwok does to such a pod: fail, run, crash, unready
)

var bulkNamespaces = strings.Fields(`ads analytics api-gateway auth batch billing cart catalog checkout cms crm data-lake
	etl fraud gateway-eu gateway-us identity inventory kafka ledger logistics mail media ml-serving mobile-bff monitoring
	notifications orders payments pricing profiles promo recommend reporting search shipping support tax warehouse web`)

var (
	serviceWords = strings.Fields(`account address alert audit avatar badge banner basket budget cache campaign capture
		card claim comment compare config contract coupon courier credit currency customer delivery device discount
		document event export facet feature feed file flag forecast gift graph history image import index invoice label
		lead limit link list locale login loyalty market meter offer order page partner payment payout plan policy price
		product profile promo proof quote rank rate refund region report return review reward route rule sales schema
		score season segment shelf shop slot stock store stream tariff tax theme ticket token tracker trial user vault
		vendor visit voucher wallet wish zone`)
	serviceKinds = strings.Fields("api worker web consumer sync cron-runner gateway projector")
	envWords     = strings.Fields(`DB_HOST DB_PORT DB_NAME DB_POOL REDIS_URL KAFKA_BROKERS KAFKA_GROUP OTEL_ENDPOINT
		SERVICE_NAME LOG_LEVEL LOG_FORMAT HTTP_PORT GRPC_PORT ADMIN_PORT FLAGS_URL S3_BUCKET AWS_REGION ROLE_NAME JAVA_OPTS
		GOMEMLIMIT NODE_ENV RELEASE GRACE_SECONDS TIMEOUT_MS MAX_CONNS RETRY_BUDGET BREAKER TENANT FINGERPRINT CHECKSUM`)
	components = strings.Fields("backend frontend worker database cache")
)

// fate is what became of a pod.
type fate int

const (
	fateRunning fate = iota
	fateRestarted
	fateCrashLoop
	fateImagePull
	fateCreating
	fateUnready
	fatePending
	fateCompleted
	fateError
	fateOOMKilled
	fateEvicted
	fateTerminating
)

// How many of 1,000 pods; the rest run.
var fateShare = []struct {
	fate  fate
	share int
}{
	{fateRestarted, 60}, {fateCrashLoop, 12}, {fateImagePull, 6}, {fateCreating, 6}, {fateUnready, 6}, {fatePending, 8},
	{fateCompleted, 12}, {fateError, 4}, {fateOOMKilled, 3}, {fateEvicted, 4}, {fateTerminating, 4},
}

// maker makes objects out of a seed: the same seed gives the same names, uids and values.
type maker struct {
	seed      uint64
	realistic bool
	now       time.Time
}

func newMaker(seed uint64, realistic bool) *maker {
	return &maker{seed: seed, realistic: realistic, now: time.Now().Truncate(time.Second)}
}

func (m *maker) random(what string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(what))
	return rand.New(rand.NewPCG(m.seed, h.Sum64()))
}

// identify sets what the API server would have set.
func (m *maker) identify(meta *metav1.ObjectMeta, what string) {
	meta.UID = uid(m.random("uid/" + what))
	meta.CreationTimestamp = metav1.NewTime(m.now.Add(-time.Hour))
}

func uid(r *rand.Rand) types.UID {
	a, b := r.Uint64(), r.Uint64()
	return types.UID(fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff))
}

func hex(r *rand.Rand, n int) string { return letters(r, "0123456789abcdef", n) }

// suffix is made of the letters Kubernetes makes names of.
func suffix(r *rand.Rand, n int) string { return letters(r, "bcdfghjklmnpqrstvwxz2456789", n) }

func letters(r *rand.Rand, alphabet string, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(out)
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// workload is what the pods of one deployment share.
type workload struct {
	number          int
	namespace, name string
	hash            string
	created         time.Time
	labels          map[string]string
	annotations     map[string]string
	containers      []corev1.Container
	digests         []string
	specFields      []byte // managedFields of the controller
}

func (m *maker) workload(number int) *workload {
	r := m.random(fmt.Sprint("workload/", number))
	name := serviceWords[number%len(serviceWords)] + "-" + serviceKinds[number/len(serviceWords)%len(serviceKinds)]
	if n := number / len(serviceWords) / len(serviceKinds); n > 0 {
		name += fmt.Sprint("-", n+1)
	}
	w := &workload{
		number:    number,
		namespace: bulkNamespaces[number%len(bulkNamespaces)],
		name:      name,
		hash:      suffix(r, 9),
		created:   m.now.Add(-time.Duration(60+r.IntN(60*24*3600)) * time.Second),
	}
	version := fmt.Sprintf("%d.%d.%d", r.IntN(9), r.IntN(30), r.IntN(20))
	w.labels = map[string]string{
		"app.kubernetes.io/name":       name,
		"app.kubernetes.io/instance":   name,
		"app.kubernetes.io/version":    version,
		"app.kubernetes.io/component":  pick(r, components),
		"app.kubernetes.io/part-of":    w.namespace,
		"app.kubernetes.io/managed-by": "rig-bulk",
		"pod-template-hash":            w.hash,
		"environment":                  pick(r, []string{"prod", "prod", "prod", "staging"}),
	}
	w.annotations = map[string]string{
		"checksum/config":                                hex(r, 64),
		"kubectl.kubernetes.io/restartedAt":              w.created.UTC().Format(time.RFC3339),
		"prometheus.io/port":                             "9090",
		"prometheus.io/scrape":                           "true",
		"cluster-autoscaler.kubernetes.io/safe-to-evict": pick(r, []string{"true", "false"}),
	}
	for i, container := range []string{"app", pick(r, []string{"proxy", "log-agent", "otel-collector"})} {
		w.containers = append(w.containers, m.container(r, w, i, container, version))
		w.digests = append(w.digests, hex(r, 64))
	}
	w.specFields = specFields(w)
	return w
}

func (m *maker) container(r *rand.Rand, w *workload, i int, name, version string) corev1.Container {
	c := corev1.Container{
		Name:                     name,
		Image:                    fmt.Sprintf("registry.example/%s/%s:%s", w.namespace, w.name, version),
		Ports:                    []corev1.ContainerPort{{Name: "http", ContainerPort: 8080 + int32(i), Protocol: corev1.ProtocolTCP}},
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		ImagePullPolicy:          corev1.PullIfNotPresent,
		VolumeMounts: []corev1.VolumeMount{
			{Name: "kube-api-access", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"},
		},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    *resource.NewMilliQuantity(pick(r, []int64{20, 25, 50, 100, 100, 150, 250}), resource.DecimalSI),
				corev1.ResourceMemory: *resource.NewQuantity(pick(r, []int64{64, 96, 128, 256, 384})<<20, resource.BinarySI),
			},
			Limits: corev1.ResourceList{
				corev1.ResourceMemory: *resource.NewQuantity(pick(r, []int64{512, 768, 1024, 2048})<<20, resource.BinarySI),
			},
		},
	}
	if i == 0 {
		c.ReadinessProbe = &corev1.Probe{
			ProbeHandler:   corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz/ready", Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}},
			TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
		}
	} else {
		c.Image = "registry.example/platform/" + name + ":0.98.0"
	}
	words := envWords
	offset := r.IntN(len(words))
	for e := range 20 {
		word := words[(offset+e)%len(words)]
		env := corev1.EnvVar{Name: word, Value: "value-" + strings.ToLower(word[:4])}
		if m.realistic {
			env.Value = realValue(r, w, word)
		}
		c.Env = append(c.Env, env)
	}
	return c
}

// realValue is a value such as real workloads have: some alike everywhere, most of them the workload's own.
func realValue(r *rand.Rand, w *workload, word string) string {
	switch {
	case strings.HasSuffix(word, "_PORT"):
		return fmt.Sprint(3000 + r.IntN(9000))
	case strings.HasSuffix(word, "_URL"), strings.HasSuffix(word, "_HOST"), strings.HasSuffix(word, "_ENDPOINT"), strings.HasSuffix(word, "_BROKERS"):
		return fmt.Sprintf("%s-%s.%s.svc.cluster.local:%d", pick(r, serviceWords), suffix(r, 6), pick(r, bulkNamespaces), 1024+r.IntN(60000))
	case word == "LOG_LEVEL":
		return pick(r, []string{"info", "warn", "debug"})
	case word == "AWS_REGION":
		return "eu-west-1"
	case word == "NODE_ENV", word == "LOG_FORMAT":
		return pick(r, []string{"production", "json"})
	case word == "FINGERPRINT", word == "CHECKSUM", word == "RELEASE":
		return hex(r, 40)
	case strings.Contains(word, "NAME"), strings.Contains(word, "GROUP"), strings.Contains(word, "BUCKET"):
		return fmt.Sprintf("%s-%s-%s", w.namespace, w.name, hex(r, 8))
	case word == "JAVA_OPTS":
		return fmt.Sprintf("-Xms%dm -Xmx%dm -XX:+UseG1GC -XX:MaxGCPauseMillis=%d", 64<<r.IntN(4), 512<<r.IntN(3), 50+r.IntN(200))
	default:
		return fmt.Sprint(r.IntN(100000))
	}
}
