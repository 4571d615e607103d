package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const (
	kedaModule = "github.com/kedacore/keda/v2"
	kedaFolder = "../../examples/keda"
)

// parameter is what KEDA says of a key in a trigger's metadata.
type parameter struct {
	Name     string
	Optional bool
	Default  string
	// Here says that it may stand in the trigger, not in a TriggerAuthentication alone.
	Here bool `json:"metadataVariableReadable"`
}

// prometheusTrigger are the keys that KEDA reads from a trigger of the type prometheus, by the list that it makes of
// its own code.
func prometheusTrigger(t *testing.T) map[string]parameter {
	t.Helper()
	var all struct {
		Scalers []struct {
			Type       string
			Parameters []parameter
		}
	}
	if err := yaml.Unmarshal(fromModule(t, kedaModule, "schema/generated/scalers-schema.yaml"), &all); err != nil {
		t.Fatal(err)
	}
	keys := map[string]parameter{}
	for _, scaler := range all.Scalers {
		if scaler.Type == "prometheus" {
			for _, one := range scaler.Parameters {
				keys[one.Name] = one
			}
		}
	}
	if len(keys) == 0 {
		t.Fatal("KEDA knows no trigger of the type prometheus")
	}
	return keys
}

// scaling is examples/keda as it is applied to a cluster.
type scaling struct {
	runners appsv1.Deployment
	object  keda.ScaledObject
}

// readScaling reads the manifests in a folder, if Kubernetes and KEDA take them.
func readScaling(server *apiServer, dir string) (scaling, error) {
	var s scaling
	for file, to := range map[string]any{"runners.yaml": &s.runners, "scaledobject.yaml": &s.object} {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return s, err
		}
		// Its owner gives the namespace at the command line.
		text := strings.Replace(string(raw), "metadata:\n", "metadata:\n  namespace: drone-runners\n", 1)
		if err := server.admit([]byte(text)); err != nil {
			return s, fmt.Errorf("%s: %w", file, err)
		}
		if err := yaml.UnmarshalStrict([]byte(text), to); err != nil {
			return s, fmt.Errorf("%s: %w", file, err)
		}
	}
	return s, errors.Join(keda.ValidateTriggers(s.object.Spec.Triggers), keda.CheckFallbackValid(&s.object),
		keda.CheckReplicaCountBoundsAreValid(&s.object))
}

// misfits tells where the ScaledObject does not fit KEDA's trigger, or the runners, or takes "don't know" for "none".
func (s scaling) misfits(keys map[string]parameter) []string {
	var out []string
	trigger := s.object.Spec.Triggers[0]
	for name := range trigger.Metadata {
		if !keys[name].Here {
			out = append(out, "KEDA's trigger has no "+name)
		}
	}
	for name, key := range keys {
		if _, set := trigger.Metadata[name]; !set && key.Here && !key.Optional && key.Default == "" {
			out = append(out, "KEDA's trigger wants "+name)
		}
	}
	target := s.object.Spec.ScaleTargetRef
	if trigger.Type != "prometheus" || target.Kind != "Deployment" || target.Name != s.runners.Name {
		out = append(out, "it does not scale the runners by Prometheus")
	}
	fallback := s.object.Spec.Fallback
	if trigger.Metadata["ignoreNullValues"] != "false" || fallback == nil || fallback.Replicas == 0 ||
		fallback.Behavior != keda.FallbackBehaviorCurrentReplicasIfHigher {
		out = append(out, "it scales down where nobody knows")
	}
	if s.runners.Spec.Replicas != nil {
		out = append(out, "who applies the runners again scales them")
	}
	return append(out, s.otherRunners()...)
}

// otherRunners tells where the query is about other runners than those that are scaled.
func (s scaling) otherRunners() []string {
	var out []string
	pod, metadata := s.runners.Spec.Template.Spec, s.object.Spec.Triggers[0].Metadata
	for _, label := range []string{"os", "arch"} {
		if !strings.Contains(metadata["query"], fmt.Sprintf("%s=%q", label, pod.NodeSelector["kubernetes.io/"+label])) {
			out = append(out, "the query is for another "+label)
		}
	}
	capacity := ""
	for _, variable := range pod.Containers[0].Env {
		if variable.Name == "DRONE_RUNNER_CAPACITY" {
			capacity = variable.Value
		}
	}
	if _, err := strconv.Atoi(capacity); err != nil || metadata["threshold"] != capacity {
		out = append(out, fmt.Sprintf("a runner takes %q jobs at a time, and is counted for %q", capacity,
			metadata["threshold"]))
	}
	docker := pod.InitContainers[0].RestartPolicy
	if docker == nil || *docker != corev1.ContainerRestartPolicyAlways || *pod.TerminationGracePeriodSeconds < 3600 {
		out = append(out, "jobs are cut off where a runner goes")
	}
	return out
}

func lookAtScaling(server *apiServer, keys map[string]parameter, dir string) []string {
	s, err := readScaling(server, dir)
	if err != nil {
		return []string{err.Error()}
	}
	return s.misfits(keys)
}

// TestKEDA holds examples/keda against KEDA's own definitions and Kubernetes.
func TestKEDA(t *testing.T) {
	for _, problem := range lookAtScaling(newAPIServer(t), prometheusTrigger(t), kedaFolder) {
		t.Error(problem)
	}
}

// TestKEDADocumentation holds that the README shows the query that is asked, and makes the Secret that is wanted.
func TestKEDADocumentation(t *testing.T) {
	s, err := readScaling(newAPIServer(t), kedaFolder)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(kedaFolder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	readme := strings.Join(strings.Fields(string(raw)), " ")
	if query := s.object.Spec.Triggers[0].Metadata["query"]; !strings.Contains(readme, "```promql "+query+" ```") {
		t.Errorf("README.md does not show the query %s", query)
	}
	for _, variable := range s.runners.Spec.Template.Spec.Containers[0].Env {
		if variable.ValueFrom == nil || variable.ValueFrom.SecretKeyRef == nil {
			continue
		}
		secret := variable.ValueFrom.SecretKeyRef
		command := fmt.Sprintf("create secret generic %s \\ --from-literal=%s=", secret.Name, secret.Key)
		if !strings.Contains(readme, command) {
			t.Errorf("README.md has no command %q", command)
		}
	}
}

// TestKEDAMistakes makes one mistake at a time, which has to be found.
func TestKEDAMistakes(t *testing.T) {
	server, keys := newAPIServer(t), prometheusTrigger(t)
	for _, test := range []struct{ file, old, mistake, want string }{
		{"scaledobject", "scaleTargetRef:", "scaleTarget:", `unknown field "spec.scaleTarget"`},
		{"scaledobject", "pollingInterval: 15", "pollingInterval: 15s", "must be of type integer"},
		{"scaledobject", "behavior: currentReplicasIfHigher", "behavior: current", `Unsupported value: "current"`},
		{"scaledobject", "stabilizationWindowSeconds", "stabilisationWindowSeconds", "unknown field"},
		{"scaledobject", `threshold: "2"`, "threshold: 2", "must be of type string"},
		{"scaledobject", "minReplicaCount: 0", "minReplicaCount: 11", "must be less than"},
		{"scaledobject", "serverAddress:", "serverAdress:", "KEDA's trigger has no serverAdress"},
		{"scaledobject", "serverAddress:", "serverAdress:", "KEDA's trigger wants serverAddress"},
		{"scaledobject", "        threshold: \"2\"\n", "", "KEDA's trigger wants threshold"},
		{"scaledobject", `ignoreNullValues: "false"`, `ignoreNullValues: "true"`, "scales down where nobody knows"},
		{"scaledobject", "    replicas: 1", "    replicas: 0", "scales down where nobody knows"},
		{"scaledobject", `arch="amd64"`, `arch="arm64"`, "the query is for another arch"},
		{"scaledobject", `threshold: "2"`, `threshold: "4"`, "counted for"},
		{"scaledobject", "    name: drone-runner-docker\n", "    name: runners\n", "does not scale the runners"},
		{"runners", "nodeSelector:", "nodeSelektor:", "unknown field"},
		{"runners", "name: socket\n              mountPath", "name: sock\n              mountPath", `Not found: "sock"`},
		{"runners", "          restartPolicy: Always\n", "", "may not be set for init containers"},
		{"runners", "terminationGracePeriodSeconds: 3900", "terminationGracePeriodSeconds: 30", "jobs are cut off"},
		{"runners", "spec:\n", "spec:\n  replicas: 1\n", "who applies the runners again scales them"},
	} {
		t.Run(test.file+"/"+test.mistake, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(kedaFolder)); err != nil {
				t.Fatal(err)
			}
			edit(t, filepath.Join(dir, test.file+".yaml"), func(text string) string {
				return strings.Replace(text, test.old, test.mistake, 1)
			})
			problems := lookAtScaling(server, keys, dir)
			if !strings.Contains(strings.Join(problems, "\n"), test.want) {
				t.Errorf("%q, want %q", problems, test.want)
			}
		})
	}
}
