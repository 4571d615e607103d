// Package dronetest is a Drone CI server in memory, for tests, the demo and load.
//
// A [Server] is an [net/http.Handler] that answers as Drone 2.25.0 does, in either edition, over a
// world that the test owns and moves:
//
//	drone := dronetest.New(dronetest.Enterprise)
//	web := httptest.NewServer(drone)
//	drone.AddRepo(dronetest.Repo{Slug: "org0/service-00001", Active: true})
//	b := drone.CreateBuild("org0/service-00001", dronetest.BuildSpec{})
//	drone.StartStage("org0/service-00001", b.Number, 1, "runner-1")
//
// [Server.RoundTripper] reaches the same handler without sockets, for testing/synctest.
//
// What the world holds is counted by [Server.Totals], the seven numbers of Drone Enterprise's
// /metrics. Requests are counted by method and URL template ([Server.Requests]), and
// [Server.Intercept] puts faults in front of the answers.
//
// Methods that move the world panic where a test names what does not exist (a repository, a build,
// a stage) or asks for what Drone cannot do (start a stage that is not pending): that is a mistake
// in the test. All methods may be called at any time from any goroutine.
//
// Behaviour follows the server's source of version 2.25.0 where the recorded answers beside this
// package ([Server.LoadRecorded]) do not show it. Two places where it may surprise: a build that waits for
// approval has the status pending itself, only its stages are blocked; and a declined build keeps
// finished = 0.
package dronetest
