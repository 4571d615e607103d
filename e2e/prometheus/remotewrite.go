package prometheus

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	storage "github.com/prometheus/prometheus/storage/remote"
)

// TakeRemoteWrite opens Prometheus's receiver of remote writes, as --web.enable-remote-write-receiver does, until the
// end of the test, and gives its address.
func (s *Server) TakeRemoteWrite(t testing.TB) (url string) {
	t.Helper()
	versions := remote.MessageTypes{remote.WriteV1MessageType, remote.WriteV2MessageType}
	receiver := httptest.NewServer(storage.NewWriteHandler(
		slog.New(s.log), prometheus.NewRegistry(), s.db, versions, false, false, false))
	t.Cleanup(receiver.Close)
	return receiver.URL
}
