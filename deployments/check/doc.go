// Package check holds the tests of what the repository ships for deploying:
// Dockerfile, docker-compose.yml, redis.conf and the Kubernetes manifests.
//
// They need neither an engine nor a cluster. Each file is read by the library
// that its own tool is made of (BuildKit's linter, compose-go, kustomize and the
// typed Kubernetes API), and then as much of it as possible is run: Redis with
// redis.conf, the Dockerfile's build step and its image as a chroot, and the
// services of docker-compose.yml as processes on loopback addresses.
//
// It is a module of its own, so that these libraries are not dependencies of
// inviteq. Run it with `make deployments`.
package check
