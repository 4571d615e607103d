package kubernetes

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// misfits tells where the manifests do not fit each other, or the image.
func (m *manifests) misfits() []string {
	spec := m.deployment.Spec
	out := m.badVolumes()
	if spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || *spec.Replicas != 1 {
		out = append(out, "two agents tell every build twice")
	}
	if !selects(m.service.Spec.Selector, spec.Template.Labels) {
		out = append(out, "the Service selects other pods")
	}
	for _, port := range m.service.Spec.Ports {
		out = append(out, m.badPort("Service", port.TargetPort)...)
	}
	container := spec.Template.Spec.Containers[0]
	for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
		out = append(out, m.badPort("probe", probe.HTTPGet.Port)...)
	}
	if _, taken := m.raw["NetworkPolicy"]; taken {
		if !selects(m.policy.Spec.PodSelector.MatchLabels, spec.Template.Labels) {
			out = append(out, "the NetworkPolicy selects other pods")
		}
		out = append(out, m.badPort("NetworkPolicy", *m.policy.Spec.Ingress[0].Ports[0].Port)...)
	}
	if _, taken := m.raw["ServiceMonitor"]; taken {
		out = append(out, m.badMonitor()...)
	}
	if container.ImagePullPolicy != corev1.PullAlways && moving(container.Image) {
		out = append(out, "a node that has an old "+container.Image+" keeps it")
	}
	return append(out, m.badForImage()...)
}

// moving tells whether an image's name is another image after a release.
func moving(image string) bool {
	_, tag, tagged := strings.Cut(path.Base(image), ":")
	return !tagged || tag == "latest"
}

func selects(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

func (m *manifests) badPort(who string, port intstr.IntOrString) []string {
	for _, open := range m.deployment.Spec.Template.Spec.Containers[0].Ports {
		if port.Type == intstr.String && open.Name == port.StrVal {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: no port of the container is called %s", who, port.String())}
}

func (m *manifests) badVolumes() []string {
	var out []string
	for _, volume := range m.deployment.Spec.Template.Spec.Volumes {
		switch {
		case volume.PersistentVolumeClaim != nil && volume.PersistentVolumeClaim.ClaimName != m.claim.Name:
			out = append(out, "no claim is called "+volume.PersistentVolumeClaim.ClaimName)
		case volume.ConfigMap != nil && volume.ConfigMap.Name != m.config.Name:
			out = append(out, "no ConfigMap is called "+volume.ConfigMap.Name)
		case volume.Secret != nil:
			for _, item := range volume.Secret.Items {
				out = append(out, m.badSecret(volume.Secret.SecretName, item.Key)...)
			}
		}
	}
	return out
}

func (m *manifests) badSecret(name, key string) []string {
	if name != m.secret.Name {
		return []string{"no Secret is called " + name}
	}
	if _, there := m.secret.StringData[key]; !there {
		return []string{"the Secret has no " + key}
	}
	return nil
}

func (m *manifests) badMonitor() []string {
	var out []string
	if !selects(m.monitor.Spec.Selector.MatchLabels, m.service.Labels) {
		out = append(out, "the ServiceMonitor selects other Services")
	}
	for _, endpoint := range m.monitor.Spec.Endpoints {
		if !slices.ContainsFunc(m.service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == endpoint.Port }) {
			out = append(out, "no port of the Service is called "+endpoint.Port)
		}
		credentials := endpoint.Authorization.Credentials
		out = append(out, m.badSecret(credentials.Name, credentials.Key)...)
	}
	return out
}

// badForImage holds the Deployment against the Containerfile.
func (m *manifests) badForImage() []string {
	raw, err := os.ReadFile("../../Containerfile")
	if err != nil {
		return []string{err.Error()}
	}
	said := func(pattern string) string {
		found := regexp.MustCompile(`(?m)^` + pattern + `$`).FindSubmatch(raw)
		if found == nil {
			return "missing from the Containerfile: " + pattern
		}
		return string(found[1])
	}
	pod := m.deployment.Spec.Template.Spec
	mounts := map[string]string{}
	for _, mount := range pod.Containers[0].VolumeMounts {
		mounts[mount.Name] = mount.MountPath
	}
	var out []string
	for _, fact := range []struct{ what, image, here string }{
		{"port is", said(`EXPOSE (\d+)`), strconv.Itoa(int(pod.Containers[0].Ports[0].ContainerPort))},
		{"user is", said(`USER (\d+):\d+`), strconv.FormatInt(*pod.SecurityContext.RunAsUser, 10)},
		{"group is", said(`USER \d+:(\d+)`), strconv.FormatInt(*pod.SecurityContext.RunAsGroup, 10)},
		{"state is in", said(`ENV STATE_DIRECTORY=(.+)`), mounts["state"]},
		{"configuration is in", path.Dir(said(`ENTRYPOINT .*--config\.file=([^"]+)".*`)), mounts["config"]},
	} {
		if fact.image != fact.here {
			out = append(out, fmt.Sprintf("the image's %s %s, not %s", fact.what, fact.image, fact.here))
		}
	}
	return out
}

// exposure is what the pod could do that it need not: Kubernetes' own policy "restricted", and more.
func (m *manifests) exposure() []string {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	template := m.deployment.Spec.Template
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec) {
		if !result.Allowed {
			out = append(out, result.ForbiddenReason+": "+result.ForbiddenDetail)
		}
	}
	if readOnly := template.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
		out = append(out, "it can write its own file system")
	}
	if mounted := template.Spec.AutomountServiceAccountToken; mounted == nil || *mounted {
		out = append(out, "it gets a token for Kubernetes")
	}
	return out
}

// TestConfiguration lays the files out as the pod has them, and lets the agent check them.
func TestConfiguration(t *testing.T) {
	m, err := build(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.read(); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	config := layOut(t, m, root)
	binary := filepath.Join(t.TempDir(), "drone-otel-agent")
	building := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, ".")
	building.Dir = "../.."
	if out, err := building.CombinedOutput(); err != nil {
		t.Fatalf("building the agent: %v\n%s", err, out)
	}
	check := exec.CommandContext(t.Context(), binary, "--config.file="+config, "check", "--offline")
	check.Env = []string{"STATE_DIRECTORY=" + root}
	out, err := check.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "https://drone.example.com") {
		t.Errorf("the agent says %v\n%s", err, out)
	}
}

// layOut writes the files of the pod's volumes below root, where they are mounted, and returns where the
// configuration is.
func layOut(t *testing.T, m *manifests, root string) (config string) {
	t.Helper()
	pod := m.deployment.Spec.Template.Spec
	volumes := map[string]corev1.Volume{}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = volume
	}
	for _, mount := range pod.Containers[0].VolumeMounts {
		files := map[string]string{}
		switch volume := volumes[mount.Name]; {
		case volume.ConfigMap != nil:
			for name, text := range m.config.Data {
				files[name] = strings.ReplaceAll(text, ": /run/", ": "+root+"/run/")
			}
			config = filepath.Join(root, mount.MountPath, "config.yaml")
		case volume.Secret != nil:
			for _, item := range volume.Secret.Items {
				files[item.Path] = m.secret.StringData[item.Key]
			}
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			file := filepath.Join(root, mount.MountPath, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(files[name]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return config
}

// TestSecretCommand: who follows the documentation has every key of the Secret, whatever is taken in.
func TestSecretCommand(t *testing.T) {
	m, err := build(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.read(); err != nil {
		t.Fatal(err)
	}
	const page = "../../docs/containers.md"
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for key := range m.secret.StringData {
		if !strings.Contains(string(raw), " --from-literal="+key+"=") {
			t.Errorf("%s makes a Secret without %s", page, key)
		}
	}
}
