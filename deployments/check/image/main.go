// Command image writes the container image of a release, for all its systems, as an OCI
// archive: what deployments/Dockerfile builds, without a container engine, and with the
// same bytes for the same programs.
//
//	image -C ../.. -version v1.2.3 -o image.tar linux/amd64=dist/inviteq linux/arm64=…
//
// `docker load`, `podman load` and `skopeo copy oci-archive:` read it.
package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	version, out := flag.String("version", "dev", "of the release"), flag.String("o", "image.tar", "the file to write")
	top := flag.String("C", ".", "the top of the repository")
	flag.Parse()
	if err := write(*out, *version, filepath.Join(*top, "deployments/Dockerfile"), filepath.Join(*top, "LICENSE"), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// configOf is what deployments/Dockerfile says of the image.
func configOf(dockerfile, version string) (dockerspec.DockerOCIImageConfig, error) {
	text, err := os.ReadFile(dockerfile)
	if err != nil {
		return dockerspec.DockerOCIImageConfig{}, err
	}
	result, err := dockerfile2llb.Dockerfile2LLB(context.Background(), text, dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{BuildArgs: map[string]string{"VERSION": version}}, MetaResolver: unseen{},
	})
	if err != nil {
		return dockerspec.DockerOCIImageConfig{}, err
	}
	return result.Image.Config, nil
}

// unseen knows nothing of the image that the program is built in: the last stage begins
// from scratch.
type unseen struct{}

func (unseen) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	about, err := json.Marshal(oci.Image{Platform: oci.Platform{OS: "linux", Architecture: runtime.GOARCH}})
	return ref, digest.FromBytes(about), about, err
}

func write(out, version, dockerfile, licence string, programs []string) error {
	if len(programs) == 0 {
		return errors.New("no program is named: linux/amd64=FILE …")
	}
	text, err := os.ReadFile(licence)
	if err != nil {
		return err
	}
	config, err := configOf(dockerfile, version)
	if err != nil {
		return err
	}
	encode := func(v any) []byte {
		b, failed := json.Marshal(v)
		err = cmp.Or(err, failed)
		return b
	}
	var archive bytes.Buffer
	files := tar.NewWriter(&archive)
	index := oci.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex}
	var saved []save
	seen := map[digest.Digest]bool{}
	blob := func(kind string, content []byte) oci.Descriptor {
		d := digest.FromBytes(content)
		if !seen[d] {
			seen[d] = true
			err = cmp.Or(err, put(files, inArchive(oci.Descriptor{Digest: d}), 0o644, content))
		}
		return oci.Descriptor{MediaType: kind, Digest: d, Size: int64(len(content))}
	}
	for _, named := range programs {
		system, path, _ := strings.Cut(named, "=")
		name, architecture, ok := strings.Cut(system, "/")
		if !ok || path == "" {
			return fmt.Errorf("%q is no linux/amd64=FILE", named)
		}
		program, failed := os.ReadFile(path)
		if failed != nil {
			return failed
		}
		plain, packed, failed := layer(program, text)
		if failed != nil {
			return failed
		}
		platform := oci.Platform{OS: name, Architecture: architecture}
		image := struct {
			oci.Platform

			Config dockerspec.DockerOCIImageConfig `json:"config"`
			RootFS oci.RootFS                      `json:"rootfs"`
		}{platform, config, oci.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(plain)}}}
		manifest := oci.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest,
			Config: blob(oci.MediaTypeImageConfig, encode(image)), Layers: []oci.Descriptor{blob(oci.MediaTypeImageLayerGzip, packed)},
		}
		saved = append(saved, save{
			Config: inArchive(manifest.Config), Layers: []string{inArchive(manifest.Layers[0])}, RepoTags: []string{repository + ":" + version + "-" + architecture},
		})
		one := blob(oci.MediaTypeImageManifest, encode(manifest))
		one.Platform = &platform
		index.Manifests = append(index.Manifests, one)
	}
	all := blob(oci.MediaTypeImageIndex, encode(index))
	all.Annotations = map[string]string{
		"io.containerd.image.name": "docker.io/" + repository + ":" + version, // What `docker load` calls it.
		oci.AnnotationRefName:      version,
	}
	top := oci.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{all}}
	err = cmp.Or(err,
		put(files, oci.ImageLayoutFile, 0o644, encode(oci.ImageLayout{Version: oci.ImageLayoutVersion})),
		put(files, oci.ImageIndexFile, 0o644, encode(top)),
		put(files, "manifest.json", 0o644, encode(saved)),
		files.Close())
	if err != nil {
		return err
	}
	return os.WriteFile(out, archive.Bytes(), 0o600)
}

const repository = "inviteq/inviteq"

// save is an image as Docker before version 25 looks for it in an archive.
type save struct {
	Config           string
	RepoTags, Layers []string
}

func inArchive(blob oci.Descriptor) string { return "blobs/sha256/" + blob.Digest.Encoded() }

// layer holds the program, the certificates that vouch for Clerk and for a Redis behind
// TLS, and /tmp: lists are copied there before they are read. Nobody's clock is in it.
func layer(program, licence []byte) (plain, packed []byte, err error) {
	var roots, files, small bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil { // A file cannot say for whom else it vouches.
			err = cmp.Or(err, pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	w := tar.NewWriter(&files)
	err = cmp.Or(err,
		put(w, "etc/", 0o755, nil), put(w, "etc/ssl/", 0o755, nil), put(w, "etc/ssl/certs/", 0o755, nil),
		put(w, "etc/ssl/certs/ca-certificates.crt", 0o644, roots.Bytes()),
		put(w, "LICENSE", 0o644, licence), put(w, "inviteq", 0o755, program),
		put(w, "tmp/", 0o1777, nil), // Some versions of runc give this mode to whatever is mounted there.
		w.Close())
	zip, _ := gzip.NewWriterLevel(&small, gzip.BestCompression)
	_, failed := zip.Write(files.Bytes())
	err = cmp.Or(err, failed, zip.Close())
	return files.Bytes(), small.Bytes(), err
}

func put(w *tar.Writer, name string, mode int64, content []byte) error {
	h := &tar.Header{Name: name, Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX, Typeflag: tar.TypeReg}
	if strings.HasSuffix(name, "/") {
		h.Typeflag = tar.TypeDir
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
