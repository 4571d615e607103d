package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const folder = "../../deploy/kubernetes"

// manifests are what is applied to a cluster, each as it is written, and as what it says.
type manifests struct {
	raw        map[string]string // by kind
	deployment appsv1.Deployment
	service    corev1.Service
	config     corev1.ConfigMap
	claim      corev1.PersistentVolumeClaim
	policy     networkingv1.NetworkPolicy
	monitor    serviceMonitor
	// secret is the example.
	secret corev1.Secret
}

// serviceMonitor is what has to fit the other manifests.
type serviceMonitor struct {
	Spec struct {
		Selector  struct{ MatchLabels map[string]string }
		Endpoints []struct {
			Port          string
			Path          string
			Authorization struct {
				Credentials struct{ Name, Key string }
			}
		}
	}
}

// build builds the kustomization in a folder as kubectl does, and adds the example of a Secret.
func build(dir string) (*manifests, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	// Its owner gives the namespace at the command line.
	const inNamespace = "metadata:\n  namespace: drone\n"
	out := &manifests{raw: map[string]string{}}
	for _, resource := range built.Resources() {
		raw, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		if _, twice := out.raw[resource.GetKind()]; twice {
			return nil, fmt.Errorf("two of the kind %s", resource.GetKind())
		}
		out.raw[resource.GetKind()] = strings.Replace(string(raw), "metadata:\n", inNamespace, 1)
	}
	secret, err := os.ReadFile(filepath.Join(dir, "secret-example.yaml"))
	if err != nil {
		return nil, err
	}
	out.raw["Secret"] = strings.Replace(string(secret), "metadata:\n", inNamespace, 1)
	return out, nil
}

// read reads the manifests once they are known to be good.
func (m *manifests) read() error {
	for kind, to := range map[string]any{
		"Deployment": &m.deployment, "Service": &m.service, "ConfigMap": &m.config, "PersistentVolumeClaim": &m.claim,
		"NetworkPolicy": &m.policy, "ServiceMonitor": &m.monitor, "Secret": &m.secret,
	} {
		if err := yaml.Unmarshal([]byte(m.raw[kind]), to); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// copied is a copy of the manifests, with everything taken in that kustomization.yaml leaves to its reader.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(dir, "kustomization.yaml"), func(text string) string {
		return regexp.MustCompile(`(?m)^( *)# (- .*\.yaml)$`).ReplaceAllString(text, "$1$2")
	})
	return dir
}

func edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(raw))
	if changed == string(raw) {
		t.Fatalf("%s has nothing to change", path)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// look builds the manifests in a folder and tells everything that is wrong with them.
func look(server *apiServer, dir string) (*manifests, []string) {
	m, err := build(dir)
	if err != nil {
		return nil, []string{err.Error()}
	}
	var problems []string
	for kind, raw := range m.raw {
		if err := server.admit([]byte(raw)); err != nil {
			problems = append(problems, kind+": "+err.Error())
		}
	}
	if len(problems) > 0 {
		return m, problems
	}
	if err := m.read(); err != nil {
		return m, []string{err.Error()}
	}
	return m, append(m.misfits(), m.exposure()...)
}

// TestManifests holds the manifests as they are, and with all that can be taken in.
func TestManifests(t *testing.T) {
	server := newAPIServer(t)
	for _, test := range []struct {
		name, dir string
		kinds     int
	}{{"as they are", folder, 5}, {"with everything", copied(t), 7}} {
		t.Run(test.name, func(t *testing.T) {
			m, problems := look(server, test.dir)
			for _, problem := range problems {
				t.Error(problem)
			}
			if m != nil && len(m.raw) != test.kinds {
				t.Errorf("%d kinds, want %d", len(m.raw), test.kinds)
			}
		})
	}
}

// TestMistakes makes one mistake at a time, which has to be found.
func TestMistakes(t *testing.T) {
	server := newAPIServer(t)
	for _, test := range []struct{ file, old, mistake, want string }{
		// Words, types and values that the API server does not know.
		{"deployment", "strategy:", "stategy:", `unknown field "spec.stategy"`},
		{"deployment", "runAsNonRoot:", "runAsNoRoot:", `unknown field "spec.template.spec.securityContext.runAsNoRoot"`},
		{"deployment", "replicas: 1", "replicas: one", "cannot unmarshal string into Go struct field"},
		{"deployment", "type: Recreate", "type: Recreat", `Unsupported value: {"Type":"Recreat"`},
		{"deployment", "memory: 384Mi", "memory: 384MB", "quantities must match"},
		{"deployment", "memory: 384Mi", "memory: 32Mi", "must be less than or equal to memory limit"},
		{"deployment", "- name: state\n              mountPath", "- name: stat\n              mountPath",
			`volumeMounts[2].name: Not found: "stat"`},
		{"deployment", "matchLabels:\n      app", "matchLabels:\n      appl", "`selector` does not match template `labels`"},
		{"service", "publishNotReadyAddresses", "publishNotReady", `unknown field "spec.publishNotReady"`},
		{"service", "port: 9464", "port: 94640", "must be between 1 and 65535"},
		{"persistentvolumeclaim", "ReadWriteOnce", "ReadWrite", "supported values"},
		{"networkpolicy", "policyTypes: [Ingress]", "policyTypes: [Ingres]", `Unsupported value: "Ingres"`},
		{"networkpolicy", "podSelector:\n    m", "podSelectors:\n    m", `unknown field "spec.podSelectors"`},
		{"servicemonitor", "authorization", "authorisation", `unknown field "spec.endpoints[0].authorisation"`},
		{"servicemonitor", "interval: 15s", "interval: 15 s", "spec.endpoints[0].interval: Invalid value"},
		{"servicemonitor", "interval: 15s", "interval: 15", "must be of type string"},
		{"servicemonitor", "key: scrape-token", "kei: scrape-token", "key: Required value"},
		{"secret-example", "stringData", "stringdata", `unknown field "stringdata"`},
		{"kustomization", "configMapGenerator", "configMapGenerators", `unknown field "configMapGenerators"`},
		// What does not fit together.
		{"deployment", "port: metrics", "port: metric", "probe: no port of the container is called metric"},
		{"deployment", "claimName: drone-otel-agent", "claimName: state", "no claim is called state"},
		{"deployment", "secretName: drone-otel-agent", "secretName: drone", "no Secret is called drone"},
		{"deployment", "- key: token", "- key: drone-token", "the Secret has no drone-token"},
		{"deployment", "containerPort: 9464", "containerPort: 9465", "the image's port is 9464"},
		{"deployment", "mountPath: /var/lib/drone-otel-agent", "mountPath: /state", "the image's state is in /var/lib"},
		{"deployment", "mountPath: /etc/drone-otel-agent", "mountPath: /etc/drone", "the image's configuration is in"},
		{"deployment", "runAsUser: 65532", "runAsUser: 1000", "the image's user is 65532"},
		{"deployment", "replicas: 1", "replicas: 2", "two agents tell every build twice"},
		{"deployment", "type: Recreate", "type: RollingUpdate", "two agents tell every build twice"},
		{"service", "selector:\n    app", "selector:\n    appl", "the Service selects other pods"},
		{"service", "targetPort: metrics", "targetPort: metric", "Service: no port of the container is called metric"},
		{"networkpolicy", "port: metrics", "port: metric", "NetworkPolicy: no port of the container is called metric"},
		{"servicemonitor", "- port: metrics", "- port: http", "no port of the Service is called http"},
		{"servicemonitor", "key: scrape-token", "key: prometheus", "the Secret has no prometheus"},
		{"kustomization", `newTag: "VERSION"`, "newTag: latest", "a node that has an old drone-otel-agent:latest keeps it"},
		// What opens more than it must.
		{"deployment", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot != true"},
		{"deployment", "drop: [ALL]", "drop: [NET_RAW]", "unrestricted capabilities"},
		{"deployment", "type: RuntimeDefault", "type: Unconfined", "seccompProfile"},
		{"deployment", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "can write its own file system"},
		{"deployment", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token for Kubernetes"},
	} {
		t.Run(test.file+"/"+test.mistake, func(t *testing.T) {
			dir := copied(t)
			edit(t, filepath.Join(dir, test.file+".yaml"), func(text string) string {
				return strings.Replace(text, test.old, test.mistake, 1)
			})
			if _, problems := look(server, dir); !strings.Contains(strings.Join(problems, "\n"), test.want) {
				t.Errorf("%q, want %q", problems, test.want)
			}
		})
	}
}
