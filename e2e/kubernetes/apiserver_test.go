package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	// Its module holds the definition of ServiceMonitor, in a folder without Go.
	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	appsinstall "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	coreinstall "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	networkinginstall "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/capabilities"
	"sigs.k8s.io/yaml"
)

// apiServer does with a manifest what Kubernetes' does before it stores one.
type apiServer struct {
	decoder runtime.Decoder
	// custom are the kinds that are not Kubernetes' own.
	custom map[string]*customResource
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	// --allow-privileged, which clusters have; pod security is another matter.
	capabilities.Setup(true, 0)
	scheme := runtime.NewScheme()
	coreinstall.Install(scheme)
	appsinstall.Install(scheme)
	networkinginstall.Install(scheme)
	return &apiServer{
		decoder: serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(),
		custom: map[string]*customResource{
			"ServiceMonitor": defined(t, "github.com/prometheus-operator/prometheus-operator",
				"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
			"ScaledObject": defined(t, kedaModule, "config/crd/bases/keda.sh_scaledobjects.yaml"),
		},
	}
}

// admit tells everything that the API server would refuse or warn about.
func (s *apiServer) admit(manifest []byte) error {
	var what struct{ Kind string }
	if err := yaml.Unmarshal(manifest, &what); err != nil {
		return err
	}
	if custom, known := s.custom[what.Kind]; known {
		return custom.admit(manifest)
	}
	obj, _, err := s.decoder.Decode(manifest, nil, nil)
	if err != nil {
		return err
	}
	return refused(obj)
}

func refused(obj runtime.Object) error {
	switch o := obj.(type) {
	case *apps.Deployment:
		options := pod.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil)
		template := field.NewPath("spec", "template")
		var problems []error
		for _, warning := range pod.GetWarningsForPodTemplate(context.Background(), template, &o.Spec.Template, nil) {
			problems = append(problems, errors.New(warning))
		}
		return errors.Join(append(problems, appsvalidation.ValidateDeployment(o, options).ToAggregate())...)
	case *core.Service:
		return corevalidation.ValidateServiceCreate(o).ToAggregate()
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(o).ToAggregate()
	case *core.Secret:
		return corevalidation.ValidateSecret(o).ToAggregate()
	case *core.PersistentVolumeClaim:
		options := corevalidation.ValidationOptionsForPersistentVolumeClaimCreate()
		return corevalidation.ValidatePersistentVolumeClaim(o, options).ToAggregate()
	case *networking.NetworkPolicy:
		options := networkingvalidation.ValidationOptionsForNetworking(o, nil)
		return networkingvalidation.ValidateNetworkPolicy(o, options).ToAggregate()
	}
	return fmt.Errorf("%T: nobody has said here how it is validated", obj)
}

// customResource is a kind that is not Kubernetes' own.
type customResource struct {
	structure *schema.Structural
	validator validation.SchemaValidator
}

// defined is a kind as a module defines it for Kubernetes, in a file without Go.
func defined(t *testing.T, module, path string) *customResource {
	t.Helper()
	raw := fromModule(t, module, path)
	var external apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &external); err != nil {
		t.Fatal(err)
	}
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		external.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil); err != nil {
		t.Fatal(err)
	}
	out := &customResource{}
	var err error
	if out.structure, err = schema.NewStructural(&props); err != nil {
		t.Fatal(err)
	}
	if out.validator, _, err = validation.NewSchemaValidator(&props); err != nil {
		t.Fatal(err)
	}
	return out
}

// fromModule reads a file of a module.
func fromModule(t *testing.T, module, path string) []byte {
	t.Helper()
	folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f={{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("looking for %s: %v", module, err)
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), path))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (c *customResource) admit(manifest []byte) error {
	var obj map[string]any
	if err := yaml.UnmarshalStrict(manifest, &obj); err != nil {
		return err
	}
	unknown := pruning.PruneWithOptions(obj, c.structure, true, schema.UnknownFieldPathOptions{
		TrackUnknownFieldPaths: true,
	})
	var problems []error
	for _, path := range slices.Sorted(slices.Values(unknown)) {
		problems = append(problems, fmt.Errorf("unknown field %q", path))
	}
	return errors.Join(append(problems, validation.ValidateCustomResource(nil, obj, c.validator).ToAggregate())...)
}
