package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// The units say what the program understands, and are what systemd understands, where
// there is one.
func TestSystemdUnits(t *testing.T) {
	units, err := filepath.Glob(filepath.Join(root, "deployments/systemd/*"))
	if err != nil || len(units) < 4 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	copies := t.TempDir()
	verify := []string{"verify", "--man=no"}
	for _, unit := range units {
		text := string(read(t, filepath.Join("deployments/systemd", filepath.Base(unit))))
		if strings.HasSuffix(unit, ".service") {
			for _, line := range []string{"ExecStart=/usr/local/bin/inviteq ", "DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet=\n"} {
				if !strings.Contains(text, line) {
					t.Errorf("%s has no %q", filepath.Base(unit), line)
				}
			}
		}
		// verify wants the program to be there.
		text = strings.ReplaceAll(text, "/usr/local/bin/inviteq", "/bin/true")
		path := filepath.Join(copies, filepath.Base(unit))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		verify = append(verify, path)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not on the PATH")
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", verify...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

func TestReconcileCronJob(t *testing.T) {
	fs := filesys.MakeFsInMemory()
	for name, text := range map[string][]byte{
		"/k/kustomization.yaml":           []byte("namespace: inviteq\ncomponents: [reconcile]\n"),
		"/k/reconcile/kustomization.yaml": read(t, "deployments/k8s/reconcile/kustomization.yaml"),
		"/k/reconcile/cronjob.yaml":       read(t, "deployments/k8s/reconcile/cronjob.yaml"),
	} {
		if err := fs.WriteFile(name, text); err != nil {
			t.Fatal(err)
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "/k")
	if err != nil {
		t.Fatal(err)
	}
	if built.Size() != 1 || built.Resources()[0].GetKind() != "CronJob" {
		t.Errorf("built %v", built.AllIds())
	}
}
