// Package statuspage shows people how Drone is doing: one page at /, and the same for programs as JSON. It knows HTML
// and JSON, and neither Drone, nor the metrics, nor who may read: [Page] is told a [Status] when somebody asks.
//
// The page stands alone. It needs nothing from anywhere else, its own style and script are named by their digests in
// [Page.Policy], and without the script it is loaded anew by the browser. The script asks for the page again now and
// then and puts its new content in place of the old, so that there is one way to render it; where no answer comes it
// says so, and of when the figures are.
//
// What is not known is said to be not known, on the page, and is null in JSON.
package statuspage
