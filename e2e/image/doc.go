// Package image builds the container's image as make image does, and runs it as its users do: by podman, with as
// little as can be given to it. The Drone server is that of droneapi/dronetest, in the process of the tests.
//
// It needs podman, which it installs where root runs it on Debian, so its tests have the build tag image:
// make test-image.
package image
