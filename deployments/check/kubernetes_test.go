package check

import (
	"bytes"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests is what `kubectl apply -k deployments/k8s` would send.
type manifests struct {
	deployment appsv1.Deployment
	disruption policyv1.PodDisruptionBudget
	network    networkingv1.NetworkPolicy

	api        appsv1.Deployment
	service    corev1.Service
	apiNetwork networkingv1.NetworkPolicy
}

// kubernetes runs kustomize and decodes every object strictly: a field that
// Kubernetes does not know, or one of a wrong type, fails the test.
func kubernetes(t *testing.T) manifests {
	t.Helper()
	return kustomized(t, "deployments/k8s")
}

func kustomized(t *testing.T, dir string) manifests {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).
		Run(filesys.MakeFsOnDisk(), filepath.Join(root, dir))
	if err != nil {
		t.Fatal(err)
	}
	var m manifests
	targets := map[string]any{
		"apps/v1 Deployment inviteq-worker":                 &m.deployment,
		"policy/v1 PodDisruptionBudget inviteq-worker":      &m.disruption,
		"networking.k8s.io/v1 NetworkPolicy inviteq-worker": &m.network,
		"apps/v1 Deployment inviteq-api":                    &m.api,
		"v1 Service inviteq-api":                            &m.service,
		"networking.k8s.io/v1 NetworkPolicy inviteq-api":    &m.apiNetwork,
	}
	for _, resource := range resources.Resources() {
		id := resource.GetApiVersion() + " " + resource.GetKind() + " " + resource.GetName()
		target, ok := targets[id]
		if !ok {
			t.Errorf("%s is not checked: add it to this test", id)
			continue
		}
		delete(targets, id)
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, target); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for id := range targets {
		t.Errorf("no %s in the manifests", id)
	}
	return m
}

// worker returns the one container of the deployment.
func (m manifests) worker(t *testing.T) corev1.Container {
	t.Helper()
	containers := m.deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 {
		t.Fatalf("the pod has %d containers, want 1", len(containers))
	}
	return containers[0]
}

func TestKubernetesObjectsSelectTheWorker(t *testing.T) {
	m := kubernetes(t)
	pod := labels.Set(m.deployment.Spec.Template.Labels)
	selectors := map[string]*metav1.LabelSelector{
		"Deployment":          m.deployment.Spec.Selector,
		"PodDisruptionBudget": m.disruption.Spec.Selector,
		"NetworkPolicy":       &m.network.Spec.PodSelector,
	}
	for _, constraint := range m.deployment.Spec.Template.Spec.TopologySpreadConstraints {
		selectors["topologySpreadConstraint"] = constraint.LabelSelector
	}
	for owner, selector := range selectors {
		parsed, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Errorf("%s: %v", owner, err)
			continue
		}
		if parsed.Empty() || !parsed.Matches(pod) {
			t.Errorf("%s selects %q, which is not the worker's %q", owner, parsed, pod)
		}
	}
	for _, object := range []metav1.Object{&m.deployment, &m.disruption, &m.network} {
		if object.GetNamespace() != "inviteq" {
			t.Errorf("%s is in namespace %q, want inviteq", object.GetName(), object.GetNamespace())
		}
	}
}

func TestKubernetesWorkerIsConfined(t *testing.T) {
	m := kubernetes(t)
	pod, worker := m.deployment.Spec.Template.Spec, m.worker(t)
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the pod has a token for the Kubernetes API, which it does not need")
	}
	if c := pod.SecurityContext; c == nil || c.RunAsNonRoot == nil || !*c.RunAsNonRoot ||
		c.RunAsUser == nil || *c.RunAsUser != 65532 ||
		c.SeccompProfile == nil || c.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod security context = %+v, want user 65532 and the default seccomp profile", c)
	}
	if c := worker.SecurityContext; c == nil ||
		c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation ||
		c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem ||
		c.Capabilities == nil || !reflect.DeepEqual(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("container security context = %+v, want nothing but a read-only root", c)
	}
	if worker.Resources.Limits.Memory().IsZero() {
		t.Error("the worker has no memory limit")
	}
}

func TestKubernetesProbesAskTheAdminPort(t *testing.T) {
	worker := kubernetes(t).worker(t)
	ports := map[string]int32{}
	for _, port := range worker.Ports {
		ports[port.Name] = port.ContainerPort
	}
	probes := map[string]*corev1.Probe{"/healthz": worker.LivenessProbe, "/readyz": worker.ReadinessProbe}
	for path, probe := range probes {
		if probe == nil || probe.HTTPGet == nil {
			t.Errorf("no probe asks %s", path)
			continue
		}
		port := probe.HTTPGet.Port
		if probe.HTTPGet.Path != path || port.Type != intstr.String || ports[port.StrVal] != 8080 {
			t.Errorf("the probe asks port %s for %s, want %s on 8080", port.String(), probe.HTTPGet.Path, path)
		}
	}
	for _, variable := range worker.Env {
		if variable.Name == "INVITEQ_ADMIN_ADDR" && variable.Value != "0.0.0.0:8080" {
			t.Errorf("INVITEQ_ADMIN_ADDR = %q, which the kubelet does not reach", variable.Value)
		}
	}
}

// TestKubernetesNamesWhatGoesOut: no rule lets everything out to a port that the networks
// inside have services on, and no image has a tag that moves.
func TestKubernetesNamesWhatGoesOut(t *testing.T) {
	m := kubernetes(t)
	for _, rule := range m.network.Spec.Egress {
		for _, port := range rule.Ports {
			if number := port.Port.IntValue(); len(rule.To) == 0 && number != 6379 {
				t.Errorf("port %d is open to everywhere", number)
			}
		}
	}
	if image := m.worker(t).Image; strings.HasSuffix(image, ":latest") || !strings.Contains(image, ":") {
		t.Errorf("the image is %s", image)
	}
	for _, variable := range m.worker(t).Env {
		if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil {
			t.Errorf("%s is a secret in the environment: make it a file", variable.Name)
		}
	}
}

func TestKubernetesKeyIsAFileThatIsMounted(t *testing.T) {
	m := kubernetes(t)
	worker := m.worker(t)
	var key string
	for _, variable := range worker.Env {
		switch variable.Name {
		case "CLERK_SECRET_KEY":
			t.Error("the key is in the environment; use CLERK_SECRET_KEY_FILE")
		case "CLERK_SECRET_KEY_FILE":
			key = variable.Value
		case "REDIS_URL":
			t.Error("REDIS_URL may hold a password: use REDIS_URL_FILE")
		}
	}
	secrets := map[string]string{}
	for _, volume := range m.deployment.Spec.Template.Spec.Volumes {
		if volume.Secret != nil {
			secrets[volume.Name] = volume.Secret.SecretName
		}
	}
	for _, mount := range worker.VolumeMounts {
		if secrets[mount.Name] != "" && strings.HasPrefix(key, mount.MountPath+"/") {
			instructions := read(t, "deployments/k8s/kustomization.yaml")
			created := "create secret generic " + secrets[mount.Name] + " --from-file=" + strings.TrimPrefix(key, mount.MountPath+"/") + "="
			if !bytes.Contains(instructions, []byte(created)) {
				t.Errorf("kustomization.yaml does not say how to %q", created)
			}
			return
		}
	}
	t.Errorf("CLERK_SECRET_KEY_FILE = %q is in no mounted secret", key)
}

// TestKubernetesAPI: the API is as confined as the worker, has no key of Clerk's, and is
// found by its service; both have a place for lists.
func TestKubernetesAPI(t *testing.T) {
	m := kubernetes(t)
	pod := m.api.Spec.Template
	for owner, selector := range map[string]map[string]string{
		"Deployment": m.api.Spec.Selector.MatchLabels, "Service": m.service.Spec.Selector, "NetworkPolicy": m.apiNetwork.Spec.PodSelector.MatchLabels,
	} {
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
			t.Errorf("%s selects %q, which is not the API's %q", owner, selector, pod.Labels)
		}
		if labels.SelectorFromSet(selector).Matches(labels.Set(m.deployment.Spec.Template.Labels)) {
			t.Errorf("%s selects the worker, too", owner)
		}
	}
	api, worker := pod.Spec.Containers[0], m.worker(t)
	if !reflect.DeepEqual(api.SecurityContext, worker.SecurityContext) || !reflect.DeepEqual(pod.Spec.SecurityContext, m.deployment.Spec.Template.Spec.SecurityContext) {
		t.Error("the API is not confined as the worker is")
	}
	for _, v := range api.Env {
		if strings.HasPrefix(v.Name, "CLERK_") {
			t.Errorf("the API has %s, which it does not need", v.Name)
		}
	}
	for name, mounts := range map[string][]corev1.VolumeMount{"api": api.VolumeMounts, "worker": worker.VolumeMounts} {
		if !slices.ContainsFunc(mounts, func(v corev1.VolumeMount) bool { return v.MountPath == "/tmp" && v.Name == "spool" }) {
			t.Errorf("%s has no place for lists", name)
		}
	}
}

// TestKubernetesExternalRedis: with the overlay the URL and the authority of Redis are
// files of a mounted secret, and nothing but the named networks is reached by its port.
func TestKubernetesExternalRedis(t *testing.T) {
	m := kustomized(t, "deployments/k8s-external-redis")
	for _, d := range []appsv1.Deployment{m.deployment, m.api} {
		pod := d.Spec.Template.Spec
		files := map[string]string{}
		for _, v := range pod.Containers[0].Env {
			if v.Name == "REDIS_URL" {
				t.Errorf("%s has the URL in its environment", d.Name)
			}
			files[v.Name] = v.Value
		}
		mounted := slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(v corev1.VolumeMount) bool { return v.Name == "redis" && v.MountPath == "/etc/inviteq/redis" })
		if !mounted || files["REDIS_URL_FILE"] != "/etc/inviteq/redis/url" || files["REDIS_CA_FILE"] != "/etc/inviteq/redis/ca.crt" {
			t.Errorf("%s reads %v; mounted: %t", d.Name, files, mounted)
		}
	}
	for _, n := range []networkingv1.NetworkPolicy{m.network, m.apiNetwork} {
		for _, rule := range n.Spec.Egress {
			for _, port := range rule.Ports {
				if p := port.Port.IntValue(); (p == 6379 || p == 6380) && (len(rule.To) == 0 || rule.To[0].IPBlock == nil) {
					t.Errorf("%s lets everything be reached on port %d", n.Name, p)
				}
			}
		}
	}
}
