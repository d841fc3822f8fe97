package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImageIsTheDockerfiles: the same programs give the same bytes, and the image says
// and holds what the Dockerfile has.
func TestImageIsTheDockerfiles(t *testing.T) {
	dir := t.TempDir()
	program, first, second := filepath.Join(dir, "inviteq"), filepath.Join(dir, "1.tar"), filepath.Join(dir, "2.tar")
	if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{first, second} {
		if err := write(out, "v9.9.9", "../../Dockerfile", "../../../LICENSE", []string{"linux/amd64=" + program, "linux/arm64=" + program}); err != nil {
			t.Fatal(err)
		}
	}
	a, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(second); err != nil || !bytes.Equal(a, b) {
		t.Error("the same programs gave two images", err)
	}

	configs, layers := 0, 0
	for name, content := range unpack(t, a) {
		switch {
		case !strings.HasPrefix(name, "blobs/"):
		case bytes.HasPrefix(content, []byte{0x1f, 0x8b}):
			layers++
			r, err := gzip.NewReader(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			files := unpack(t, plain)
			if string(files["inviteq 755"]) != "a program" || len(files["etc/ssl/certs/ca-certificates.crt 644"]) < 100_000 || len(files["LICENSE 644"]) == 0 {
				t.Error("a file is missing")
			}
			if _, ok := files["tmp/ 1777"]; !ok {
				t.Error("/tmp is not for every user")
			}
		case bytes.Contains(content, []byte("rootfs")):
			configs++
			var got struct {
				Config struct {
					User            string
					Entrypoint, Cmd []string
					ExposedPorts    map[string]any
					Labels          map[string]string
					Healthcheck     struct{ Test []string }
				}
			}
			if err := json.Unmarshal(content, &got); err != nil {
				t.Fatal(err)
			}
			c := got.Config
			if c.User != "65532:65532" || !slices.Equal(slices.Concat(c.Entrypoint, c.Cmd), []string{"/inviteq", "worker"}) || len(c.ExposedPorts) != 1 ||
				c.Labels["org.opencontainers.image.version"] != "v9.9.9" || !slices.Equal(c.Healthcheck.Test, []string{"CMD", "/inviteq", "health"}) {
				t.Errorf("the image says %+v", c)
			}
		}
	}
	if configs != 2 || layers != 1 { // The same program has the same layer.
		t.Errorf("%d configurations and %d layers", configs, layers)
	}
	for _, wrong := range [][]string{nil, {"linux=x"}, {"linux/amd64="}, {"linux/amd64=/nowhere"}} {
		if err := write(filepath.Join(dir, "3.tar"), "v1", "../../Dockerfile", "../../../LICENSE", wrong); err == nil {
			t.Errorf("%q made an image", wrong)
		}
	}
}

// unpack returns the files of an archive, by name and, in a layer, mode.
func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := h.Name
		if !strings.HasPrefix(name, "blobs/") {
			name += " " + strconv.FormatInt(h.Mode, 8)
		}
		files[name] = content
	}
}
