// Package browser looks at the status page as people do: in a real browser, Chromium, on the real agent and a Drone
// server that is busy. It holds what is on the page against Drone and /metrics, logs in and out, uses the keyboard
// alone, and has axe-core look for what keeps people from using it. No page may complain or ask anybody else.
//
// It needs Chromium, which it installs where root runs it on Debian, and npm for axe-core, so its tests have the build
// tag browser: make test-page. With SCREENSHOTS=folder it writes there what it saw.
package browser
