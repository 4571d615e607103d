// Package kubernetes holds the manifests in deploy/kubernetes against Kubernetes itself: kustomize builds them, and the
// API server's own code decodes them strictly, fills in its defaults and validates them. What the API server does not
// look at is held as well: that the manifests fit each other, the agent and its image. examples/keda is held against
// KEDA's own definitions besides.
//
// It is a module of its own, as Kubernetes' are many, and wants their versions in replace directives: all of them are
// raised together, with k8s.io/kubernetes.
package kubernetes
